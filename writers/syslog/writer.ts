/// <reference types="node" preserve="true" />
/**
 * A syslog server, over UDP, TCP, TLS or RELP. Each lane has a connection of its own, so that what is urgent waits for nothing else.
 *
 * | transport | what a resolved write means |
 * |---|---|
 * | relp | the server has answered for every message: at least once |
 * | tcp, tls | the kernel has the bytes; the last `resendWindow` events come again when the connection breaks: at least once within that window |
 * | udp | the datagrams have left: best effort |
 */
import { systemClock, type Clock } from '../../core/clock.ts';
import { FondacoError } from '../../core/errors.ts';
import type { Lane } from '../../core/lane.ts';
import type { Delivery, Writer } from '../../core/writer.ts';
import { Stop } from '../stop.ts';
import { loadTls } from '../tls-files.ts';
import type { Target } from './connection.ts';
import { formatMessage, type MessageOptions } from './message.ts';
import { RelpTransport } from './relp-transport.ts';
import { rfc3164 } from './rfc3164.ts';
import { rfc5424 } from './rfc5424.ts';
import { resolved, type Resolved, type SyslogSettings } from './settings.ts';
import { StreamTransport } from './stream-transport.ts';
import type { Transport } from './transport.ts';
import { UdpTransport } from './udp-transport.ts';

export interface SyslogParts {
  readonly clock: Clock;
  /** What relative paths of the settings are relative to. */
  readonly directory: string;
}

export class SyslogWriter implements Writer {
  /** Of transports that answer nothing but hold a connection. */
  readonly resendWindow: number | undefined;
  readonly #settings: Resolved;
  readonly #parts: SyslogParts;
  readonly #what: string;
  readonly #message: MessageOptions;
  readonly #transports = new Map<Lane, Transport>();
  /** What is under way. */
  readonly #writes = new Set<AbortController>();
  #isClosed = false;

  /** Opens no connection: the first write of a lane does. Rejects REFUSED where the TLS files cannot be used. */
  static async open(settings: SyslogSettings, parts: Partial<SyslogParts> = {}): Promise<SyslogWriter> {
    const all = { clock: systemClock(), directory: process.cwd(), ...parts };
    if (settings.tls) await loadTls(settings.tls, all.directory);
    return new SyslogWriter(resolved(settings), all);
  }

  private constructor(settings: Resolved, parts: SyslogParts) {
    const { transport, host, port, bom = true, timezone = 'utc', sdId, bytesMax } = settings;
    this.#settings = settings;
    this.#parts = parts;
    this.#what = `syslog over ${transport} to ${host.includes(':') ? `[${host}]` : host}:${port}`;
    const layout = settings.format === 'rfc5424' ? rfc5424({ ...settings, bom }) : rfc3164({ ...settings, timezone });
    this.#message = { layout, sdId, bytesMax };
    this.resendWindow = transport === 'tcp' || transport === 'tls' ? settings.resendWindow : undefined;
  }

  async write(batch: readonly Delivery[], signal: AbortSignal): Promise<void> {
    if (batch.length === 0) return;
    if (this.#isClosed) throw new FondacoError('UNAVAILABLE', `${this.#what}: this writer is closed`);
    if (signal.aborted) throw new FondacoError('UNAVAILABLE', `${this.#what} was stopped`);
    const messages = batch.map((delivery) => formatMessage(delivery, this.#message));
    const { timeout } = this.#settings;
    // By hand: AbortSignal.any leaves something behind for each write (Node 20).
    const ending = new AbortController();
    const end = (): void => ending.abort();
    signal.addEventListener('abort', end, { once: true });
    this.#writes.add(ending);
    const stop = new Stop(ending.signal, { totalMs: timeout, headersMs: timeout });
    try {
      await this.#transport(batch[0]!.delivery.lane).send(messages, stop);
    } finally {
      stop.clear();
      this.#writes.delete(ending);
      signal.removeEventListener('abort', end);
    }
  }

  hasBroken(lane: Lane): boolean {
    return this.#transports.get(lane)?.hasBroken ?? false;
  }

  /** Ends what is under way, and says good-bye. May be called more than once. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const write of this.#writes) write.abort();
    await Promise.all([...this.#transports.values()].map(async (transport) => transport.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #transport(lane: Lane): Transport {
    const known = this.#transports.get(lane);
    if (known) return known;
    const made = this.#newTransport();
    this.#transports.set(lane, made);
    return made;
  }

  #newTransport(): Transport {
    const { transport, framing = 'octet-counting', host, port, relpWindow } = this.#settings;
    const { clock } = this.#parts;
    if (transport === 'udp') return new UdpTransport({ host, port, what: this.#what }, clock);
    if (transport === 'relp') return new RelpTransport(this.#target(), relpWindow);
    return new StreamTransport(this.#target(), framing, clock);
  }

  #target(): Target {
    const { transport, host, port, tls, connectTimeout, keepAlive } = this.#settings;
    const isTls = transport === 'tls' || tls !== undefined;
    return {
      host,
      port,
      what: this.#what,
      isTls,
      tls,
      directory: this.#parts.directory,
      connectMs: connectTimeout,
      keepAliveMs: keepAlive,
    };
  }
}
