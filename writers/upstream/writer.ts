/// <reference types="node" preserve="true" />
/**
 * Another proxy, one level up: the feed is a recorder there, under its delivery series and seq, so that every event is stored once. The events
 * go as they are, in an envelope that says where and when they were first recorded (core/event-envelope.ts); they are never folded again.
 *
 * The feed is the one that tries again, so this asks batch by batch, and never goes back: it holds nothing but the batch that it was given.
 * What the other journal has lost (an older copy of it was restored) is found by asking, at each connection, about all series that it had
 * settled: what it no longer knows is declared gone, and it says so in a loss notice.
 */
import { createSecureContext } from 'node:tls';
import type { BatchReply, Rejection } from '../../core/batch.ts';
import { FondacoError } from '../../core/errors.ts';
import { encodeForwarded } from '../../core/event-envelope.ts';
import type { Lane } from '../../core/lane.ts';
import { uuidBytes } from '../../core/uuid.ts';
import type { Delivery, Writer } from '../../core/writer.ts';
import { frameEvents, type OutgoingBatch } from '../../proto/batch-codec.ts';
import type { LinkSecurity } from '../../proto/record-client.ts';
import { Secrets } from '../secrets.ts';
import { loadTls } from '../tls-files.ts';
import { KnownSeries, type Known } from './known-series.ts';
import { UpstreamLink } from './link.ts';
import type { UpstreamSettings } from './settings.ts';

/** Of one message: far below gRPC's 4 MiB. */
const CHUNK_EVENTS_MAX = 1000;
const CHUNK_BYTES_MAX = 1024 * 1024;
const SECOND_LOOK = 'the proxy above must take a batch after it was told that what it misses is gone';

export interface UpstreamParts {
  /** What relative paths of the settings are relative to. */
  readonly directory: string;
  /** Ours, and the UUID of our journal. */
  readonly site: string;
  readonly journal: string;
}

/** Consecutive seqs of one series. */
interface Chunk {
  readonly lane: Lane;
  readonly series: string;
  readonly first: number;
  readonly events: readonly Uint8Array[];
}

export class UpstreamWriter implements Writer {
  readonly #settings: UpstreamSettings;
  readonly #parts: UpstreamParts;
  readonly #secrets: Secrets;
  readonly #known = new KnownSeries();
  /** Shared by the lanes, and ready when the other side was asked about what it should have. */
  #link: { readonly opened: Promise<UpstreamLink>; readonly end: () => void } | undefined;
  /** Which address is tried next, of those that there are, over and over. */
  #next = 0;
  #isClosed = false;

  /** Opens no connection: the first write does. Rejects REFUSED where the TLS files cannot be used. */
  static async open(settings: UpstreamSettings, parts: UpstreamParts): Promise<UpstreamWriter> {
    const writer = new UpstreamWriter(settings, parts);
    await writer.#security();
    return writer;
  }

  private constructor(settings: UpstreamSettings, parts: UpstreamParts) {
    this.#settings = settings;
    this.#parts = parts;
    this.#secrets = new Secrets(settings.token === undefined ? [] : [settings.token]);
  }

  async write(batch: readonly Delivery[], signal: AbortSignal): Promise<void> {
    if (this.#isClosed) throw new FondacoError('UNAVAILABLE', 'this writer is closed');
    if (signal.aborted) throw new FondacoError('UNAVAILABLE', 'the write was stopped');
    let taken = 0;
    for (const chunk of this.#chunks(batch)) {
      const link = await orAborted(this.#linked(), signal);
      const rejection = await this.#put(link, chunk, signal).catch((error: unknown) => {
        throw this.#hidden(error);
      });
      if (rejection) {
        const { seq, reason } = rejection;
        const facts = { answer: reason, taken: taken + seq - chunk.first };
        throw new FondacoError('REJECTED', `the proxy above does not take it: ${reason}`, facts);
      }
      taken += chunk.events.length;
    }
  }

  note(lane: Lane): string | undefined {
    return this.#known.note(lane);
  }

  recall(lane: Lane, note: string): void {
    this.#known.recall(lane, note);
  }

  /** Ends what is under way. May be called more than once. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#link?.end();
    this.#link = undefined;
  }

  /** Resolves when all of it is settled there, with the first event that was rejected, if any was. */
  async #put(link: UpstreamLink, chunk: Chunk, signal: AbortSignal): Promise<Rejection | undefined> {
    const { lane, series, first, events } = chunk;
    const last = first + events.length - 1;
    const known = this.#known.find(lane, series);
    let reply = await link.ask(this.#batch(chunk, { settledBy: known?.journal ?? '', isGone: false }), signal);
    // It was asked about all that it had settled, so what it does not know was set aside here, or is at another proxy: passed over, no loss.
    if (reply.expected !== undefined) reply = await link.ask(this.#batch(chunk, { settledBy: '', isGone: true }), signal);
    throwIfThrottled(reply);
    if (reply.expected !== undefined) throw new FondacoError('UNAVAILABLE', `${SECOND_LOOK}, got expected: ${reply.expected}`);
    const rejection = reply.rejections.find(({ seq }) => seq >= first && seq <= last);
    if (reply.settled >= last) this.#known.settle({ lane, series, settled: last, journal: reply.journal });
    if (rejection) return rejection;
    if (reply.settled < last) throw new FondacoError('UNAVAILABLE', `the proxy above must settle ${last}, got ${reply.settled}`);
    return undefined;
  }

  #batch({ lane, series, first, events }: Chunk, { settledBy, isGone }: { settledBy: string; isGone: boolean }): OutgoingBatch {
    const after = first - 1;
    const framed = frameEvents(events);
    // The feed has settled everything before.
    return { ...this.#plain(lane, series), after, settled: after, settledBy: after > 0 ? settledBy : '', isGone, events: framed };
  }

  #plain(lane: Lane, series: string): Pick<OutgoingBatch, 'series' | 'lane' | 'lost' | 'isClosing' | 'sender' | 'forwarder'> {
    const bytes = uuidBytes(series);
    if (!bytes) throw new FondacoError('UNAVAILABLE', `a delivery series must be a UUID, got ${series}`);
    const { site } = this.#parts;
    return { series: bytes, lane, lost: [], isClosing: false, sender: { node: site, component: 'fondaco' }, forwarder: site };
  }

  #chunks(batch: readonly Delivery[]): Chunk[] {
    const chunks: (Chunk & { events: Uint8Array[] })[] = [];
    let bytes = 0;
    for (const { event, delivery } of batch) {
      const encoded = encodeForwarded(event, this.#parts);
      bytes += encoded.length;
      const chunk = chunks.at(-1);
      const isNext = chunk?.series === delivery.series && delivery.seq === chunk.first + chunk.events.length;
      if (chunk && isNext && chunk.events.length < CHUNK_EVENTS_MAX && bytes <= CHUNK_BYTES_MAX) chunk.events.push(encoded);
      else {
        chunks.push({ lane: delivery.lane, series: delivery.series, first: delivery.seq, events: [encoded] });
        bytes = encoded.length;
      }
    }
    return chunks;
  }

  async #linked(): Promise<UpstreamLink> {
    for (;;) {
      const mine = (this.#link ??= this.#connect());
      try {
        const link = await mine.opened;
        if (!link.failure) return link;
        if (this.#isClosed) throw link.failure;
      } catch (error) {
        this.#forget(mine);
        throw this.#hidden(error);
      }
      this.#forget(mine); // it ended after the last write: what is to be written now has not been tried yet
    }
  }

  #forget(link: object): void {
    if (this.#link !== link) return;
    this.#link = undefined;
    this.#next++;
  }

  #connect(): { opened: Promise<UpstreamLink>; end: () => void } {
    const stop = new AbortController();
    let link: UpstreamLink | undefined;
    const open = async (): Promise<UpstreamLink> => {
      const { address, timeout: timeoutMs } = this.#settings;
      const proxy = address[this.#next % address.length]!;
      link = new UpstreamLink({ proxy, security: await this.#security(), timeoutMs });
      try {
        for (const known of this.#known.all) await this.#compare(link, known, stop.signal);
      } catch (error) {
        link.close();
        throw error;
      }
      if (this.#isClosed) link.close();
      return link;
    };
    const opened = open();
    opened.catch(() => undefined); // who waits for it is told
    return {
      opened,
      end: () => {
        stop.abort();
        link?.close();
      },
    };
  }

  /** Asks for no more than whether a series is known as far as that very journal has settled it; what is missing there is lost. */
  async #compare(link: UpstreamLink, { lane, series, settled, journal }: Known, signal: AbortSignal): Promise<void> {
    const batch = { ...this.#plain(lane, series), after: settled, settled, settledBy: journal, isGone: false, events: frameEvents([]) };
    const reply = await link.ask(batch, signal);
    throwIfThrottled(reply);
    if (reply.expected === undefined || reply.journal !== journal) return;
    throwIfThrottled(await link.ask({ ...batch, isGone: true }, signal));
  }

  async #security(): Promise<LinkSecurity> {
    const { tls, token } = this.#settings;
    if (!tls) return { token };
    const { servername, ...files } = await loadTls(tls, this.#parts.directory);
    return { tls: createSecureContext(files), hasCertificate: files.cert !== undefined, serverName: servername, token };
  }

  #hidden(error: unknown): unknown {
    if (!(error instanceof FondacoError)) return error;
    return new FondacoError(error.code, this.#secrets.hide(error.text), error.facts);
  }
}

function throwIfThrottled({ throttleMs }: BatchReply): void {
  if (throttleMs === undefined) return;
  throw new FondacoError('UNAVAILABLE', `the proxy above has no room: it asks for ${throttleMs} ms`, { retryAfterMs: throttleMs });
}

/** The link is shared: who is stopped leaves it to the others. */
async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(new FondacoError('UNAVAILABLE', 'the write was stopped'));
    signal.addEventListener('abort', stop, { once: true });
  });
  return Promise.race([work, aborted]).finally(() => signal.removeEventListener('abort', stop));
}
