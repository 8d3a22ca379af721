/**
 * A connection to one server, through ioredis with all that it does by itself switched off: no queue while there is no connection, no sending
 * again, no reconnecting. When it has ended, in whatever way, it is thrown away; what was under way may have been done or not.
 */
import { Redis, type RedisOptions } from 'ioredis';
import { FondacoError } from '../../core/errors.ts';
import { networkReason } from '../network-errors.ts';
import type { Secrets } from '../secrets.ts';
import type { Stop } from '../stop.ts';
import { loadTls } from '../tls-files.ts';
import type { Endpoint } from './address.ts';
import { isElsewhere, refusal } from './answer.ts';
import { BATCH_SCRIPT } from './script.ts';
import type { Resolved } from './settings.ts';

export interface Target {
  readonly settings: Resolved;
  /** What the TLS files are relative to. */
  readonly directory: string;
  readonly secrets: Secrets;
}

type Options = Omit<RedisOptions, 'replyMapping'>;

const KEEP_ALIVE_MS = 30_000;

export class RedisConnection {
  readonly #redis: Redis;
  readonly #target: Target;
  /** For messages. */
  readonly #what: string;
  #error: Error | undefined;
  #hasEnded = false;

  /** To a server, or, without one, to the master that the sentinels know. Rejects UNAVAILABLE, as not reached, or REFUSED for what it says to us. */
  static async open(target: Target, endpoint: Endpoint | undefined, stop: Stop): Promise<RedisConnection> {
    const { settings, directory } = target;
    const files = settings.tls && (await loadTls(settings.tls, directory));
    const connection = new RedisConnection(target, { ...optionsOf(settings), ...placeOf(settings, endpoint), ...tlsOf(files, endpoint) });
    await connection.#connect(stop);
    return connection;
  }

  private constructor(target: Target, options: Options) {
    this.#target = target;
    this.#what = `redis ${target.settings.place}`;
    this.#redis = new Redis(options);
    this.#redis.on('error', (error: Error) => (this.#error ??= error));
    for (const end of ['close', 'end']) this.#redis.on(end, () => (this.#hasEnded = true));
  }

  /** Also where the other side has said that it ends, and the rest is only a matter of moments. */
  get hasEnded(): boolean {
    return this.#hasEnded || !this.#redis.stream.writable;
  }

  /** Runs the batch script. Rejects with what Redis says, or UNAVAILABLE where it says nothing: then it may have run. */
  async run(keys: readonly string[], args: readonly string[], stop: Stop): Promise<readonly unknown[]> {
    const all = [String(keys.length), ...keys, ...args];
    try {
      return (await this.#redis.call('EVALSHA', [BATCH_SCRIPT.sha1, ...all])) as unknown[];
    } catch (error) {
      if (!isReply(error) || !error.message.startsWith('NOSCRIPT')) throw this.#asOurs(error, stop);
    }
    return this.#command<unknown[]>('EVAL', [BATCH_SCRIPT.lua, ...all], stop);
  }

  /** How many replicas have what was written, when they are so many or the time is up. */
  async replicas(count: number, waitMs: number, stop: Stop): Promise<number> {
    return this.#command<number>('WAIT', [String(count), String(waitMs)], stop);
  }

  /** Ends it; what is under way rejects. */
  close(): void {
    this.#redis.disconnect();
    this.#hasEnded = true;
  }

  /** Where a server says that another one is to be asked. */
  static answerOf(error: unknown): string | undefined {
    const { cause } = error instanceof FondacoError ? error.facts : {};
    return isReply(cause) ? cause.message : undefined;
  }

  async #command<T>(name: string, args: readonly string[], stop: Stop): Promise<T> {
    try {
      return (await this.#redis.call(name, [...args])) as T;
    } catch (error) {
      throw this.#asOurs(error, stop);
    }
  }

  async #connect(stop: Stop): Promise<void> {
    const { connectTimeout } = this.#target.settings;
    let isLate = false;
    let end = (): void => undefined;
    // ioredis may take longer to notice, where it asks sentinels.
    const ended = new Promise<never>((_, reject) => (end = () => reject(new Error('ended'))));
    // Until the server has let us in: a host that takes the connection may say nothing.
    const limit = setTimeout(() => {
      isLate = true;
      end();
    }, connectTimeout);
    stop.signal.addEventListener('abort', end, { once: true });
    if (stop.signal.aborted) end();
    try {
      await Promise.race([this.#login(), ended]);
    } catch (error) {
      this.close();
      throw this.#unreached(this.#error ?? error, isLate, stop);
    } finally {
      clearTimeout(limit);
      stop.signal.removeEventListener('abort', end);
    }
    this.#error = undefined;
  }

  async #login(): Promise<void> {
    await this.#redis.connect();
    // ioredis goes on behind a SELECT that failed, in a database that nobody asked for.
    if (this.#error) throw this.#error;
    if (this.#target.settings.password === undefined) await this.#mustBeLetIn();
  }

  /** A server that wants a password says so to a short command only; a long one it calls a mistake. */
  async #mustBeLetIn(): Promise<void> {
    try {
      await this.#redis.call('PING');
    } catch (error) {
      if (!isReply(error) || !error.message.startsWith('NOPERM')) throw error; // it may not PING, but knows us
    }
  }

  #unreached(error: unknown, isLate: boolean, stop: Stop): FondacoError {
    if (isReply(error)) return this.#asOurs(error, stop);
    if (stop.why === 'stopped') return new FondacoError('UNAVAILABLE', `${this.#what} was stopped`, { cause: error });
    const { connectTimeout } = this.#target.settings;
    const reason = isLate ? `it must let us in within ${connectTimeout} ms` : this.#target.secrets.hide(networkReason(error));
    return new FondacoError('UNAVAILABLE', `${this.#what} cannot be reached: ${reason}`, { cause: error, unreachable: true });
  }

  #asOurs(error: unknown, stop: Stop): FondacoError {
    if (isReply(error)) {
      if (isElsewhere(error.message)) this.close();
      const { code, text, facts } = refusal(this.#what, error.message, this.#target.secrets);
      return new FondacoError(code, text, { ...facts, cause: error });
    }
    if (stop.why === 'stopped') return new FondacoError('UNAVAILABLE', `${this.#what} was stopped`, { cause: error });
    if (stop.why !== undefined) return new FondacoError('UNAVAILABLE', `${this.#what} must answer within ${stop.limit}`, { cause: error });
    this.close();
    const reason = networkReason(this.#error ?? error);
    return new FondacoError('UNAVAILABLE', `${this.#what} failed: ${reason}; it may have the batch, or not`, { cause: error });
  }
}

function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError';
}

function optionsOf({ user, password, database, connectTimeout }: Resolved): Options {
  return {
    ...(user === undefined ? {} : { username: user }),
    ...(password === undefined ? {} : { password }),
    db: database,
    lazyConnect: true,
    // Redis 5 knows no other, and nothing here needs one.
    protocol: 2,
    connectTimeout,
    disconnectTimeout: 0,
    keepAlive: KEEP_ALIVE_MS,
    // We find out by asking: LOADING is an answer like any other.
    enableReadyCheck: false,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    disableClientInfo: true,
  };
}

function placeOf({ sentinel, sentinels, connectTimeout }: Resolved, endpoint: Endpoint | undefined): Options {
  if (!sentinel) return { ...endpoint };
  return {
    sentinels: [...sentinels],
    name: sentinel.name,
    ...(sentinel.user === undefined ? {} : { sentinelUsername: sentinel.user }),
    ...(sentinel.password === undefined ? {} : { sentinelPassword: sentinel.password }),
    sentinelRetryStrategy: () => null,
    sentinelCommandTimeout: connectTimeout,
    updateSentinels: false,
  };
}

function tlsOf(files: Awaited<ReturnType<typeof loadTls>> | undefined, endpoint: Endpoint | undefined): Options {
  if (!files) return {};
  return endpoint ? { tls: { ...files } } : { tls: { ...files }, sentinelTLS: { ...files }, enableTLSForSentinelMode: true };
}
