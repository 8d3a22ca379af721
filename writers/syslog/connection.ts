/**
 * A connection over TCP or TLS that is watched from its first moment to its last: a server that goes away says so by a FIN, which only a socket
 * that is read ever notices, and the first write after it "succeeds".
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { asError, FondacoError, isFondacoError } from '../../core/errors.ts';
import { networkReason } from '../network-errors.ts';
import type { Stop } from '../stop.ts';
import { loadTls, type TlsSettings } from '../tls-files.ts';

export interface Target {
  readonly host: string;
  readonly port: number;
  /** For messages, such as `syslog over tcp to logs.example:514`. */
  readonly what: string;
  readonly isTls: boolean;
  readonly tls: TlsSettings | undefined;
  /** What the TLS files are relative to. */
  readonly directory: string;
  readonly connectMs: number;
  readonly keepAliveMs: number;
}

/** In TLS 1.3 a server judges our certificate after the handshake is over for us: it sends a ticket then, or the reason why not. */
const JUDGEMENT_MS = 250;
/** A server may take so long to answer our end. */
const CLOSE_MS = 500;

export class Connection {
  readonly #socket: Socket;
  readonly #target: Target;
  /** What ended it; undefined while it stands. */
  #end: FondacoError | undefined;
  readonly #watchers = new Set<(end: FondacoError) => void>();
  /** What the other side says. */
  onData: (bytes: Buffer) => void = () => undefined;

  /** Rejects UNAVAILABLE, as not reached, where no connection comes about; REFUSED where the TLS files cannot be used. */
  static async open(target: Target, stop: Stop): Promise<Connection> {
    const { host, port, isTls, keepAliveMs } = target;
    const options = { host, port, keepAlive: true, keepAliveInitialDelay: keepAliveMs, noDelay: true };
    const files = isTls && target.tls ? await loadTls(target.tls, target.directory) : {};
    const socket = isTls ? connectTls({ ...options, ...files }) : connectTcp(options);
    const connection = new Connection(socket, target);
    try {
      await connection.#connected(isTls ? 'secureConnect' : 'connect', stop);
      if (isTls && (socket as TLSSocket).getProtocol() === 'TLSv1.3') await connection.#judged(stop);
      // The events of TLS come out of the midst of its reading: what is written there and then gets stuck (Node 20).
      await new Promise((resolve) => setImmediate(resolve));
      return connection;
    } catch (error) {
      socket.destroy();
      const { facts, text } = isFondacoError(error) ? error : connection.#failure(asError(error));
      throw new FondacoError('UNAVAILABLE', text, { ...facts, ...(stop.why === 'stopped' ? {} : { unreachable: true }) });
    }
  }

  private constructor(socket: Socket, target: Target) {
    this.#socket = socket;
    this.#target = target;
    // 'data' has to be taken, or the end behind it is never seen.
    socket.on('data', (bytes: Buffer) => this.onData(bytes));
    socket.on('end', () => this.end('it closed the connection'));
    socket.on('error', (error) => this.#ended(this.#failure(error)));
    socket.on('close', () => this.end('the connection was closed'));
  }

  /** Why it is of no use any more; undefined while it is. */
  get why(): FondacoError | undefined {
    return this.#end;
  }

  /** Resolves when the kernel has the bytes; that says nothing of the other side. Rejects UNAVAILABLE; then part of them may be on their way. */
  async send(bytes: Buffer, stop: Stop): Promise<void> {
    const written = new Promise<void>((resolve, reject) => {
      this.#socket.write(bytes, (error) => (error ? reject(this.#end ?? this.#failure(error)) : resolve()));
    });
    await this.unlessEnded(written, stop);
  }

  /** What `work` resolves with, unless the connection or the time for it ends before: then neither it nor the connection is of use any more. */
  async unlessEnded<T>(work: Promise<T>, stop: Stop): Promise<T> {
    work.catch(() => undefined);
    let watch = (_end: FondacoError): void => undefined;
    const abort = (): void => this.#ended(this.#stopped(stop));
    const ended = new Promise<never>((_, reject) => {
      watch = reject;
      if (this.#end) reject(this.#end);
      this.#watchers.add(watch);
      stop.signal.addEventListener('abort', abort, { once: true });
      if (stop.signal.aborted) abort();
    });
    try {
      return await Promise.race([work, ended]);
    } finally {
      this.#watchers.delete(watch);
      stop.signal.removeEventListener('abort', abort);
    }
  }

  /** Ends it for a reason of ours. */
  end(reason: string): void {
    if (!this.#end) this.#ended(new FondacoError('UNAVAILABLE', `${this.#target.what} failed: ${reason}`));
  }

  /** Says good-bye, so that what was sent is read, and waits for the other side's for half a second at most. */
  async close(farewell?: Buffer): Promise<void> {
    if (this.#end) return void this.#socket.destroy();
    await new Promise<void>((resolve) => {
      const limit = setTimeout(resolve, CLOSE_MS);
      this.#socket.once('close', () => {
        clearTimeout(limit);
        resolve();
      });
      if (farewell) this.#socket.write(farewell);
      this.#socket.end();
    });
    this.#socket.destroy();
  }

  async #connected(event: 'connect' | 'secureConnect', stop: Stop): Promise<void> {
    const { connectMs } = this.#target;
    const late = setTimeout(() => this.end(`no connection within ${connectMs} ms`), connectMs);
    try {
      await this.unlessEnded(new Promise<void>((resolve) => this.#socket.once(event, () => resolve())), stop);
    } finally {
      clearTimeout(late);
    }
  }

  async #judged(stop: Stop): Promise<void> {
    let limit: NodeJS.Timeout | undefined;
    const judged = new Promise<void>((resolve) => {
      this.#socket.once('session', () => resolve());
      limit = setTimeout(resolve, JUDGEMENT_MS);
    });
    await this.unlessEnded(judged, stop).finally(() => clearTimeout(limit));
  }

  #ended(end: FondacoError): void {
    if (this.#end) return;
    this.#end = end;
    for (const watcher of this.#watchers) watcher(end);
    this.#socket.destroy();
  }

  #failure(error: Error): FondacoError {
    return new FondacoError('UNAVAILABLE', `${this.#target.what} failed: ${networkReason(error)}`, { cause: error });
  }

  #stopped(stop: Stop): FondacoError {
    const { what } = this.#target;
    if (stop.why === 'stopped') return new FondacoError('UNAVAILABLE', `${what} was stopped`);
    return new FondacoError('UNAVAILABLE', `${what} must be done within ${stop.limit}`);
  }
}
