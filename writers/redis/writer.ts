/// <reference types="node" preserve="true" />
/**
 * Streams of Redis: one key per lane, `<prefix>:normal` and `<prefix>:urgent`, so that a consumer group reads in order and urgent first. An
 * entry's id is made of its place in the journal, so that Redis itself knows a repeat; what it does with a batch is in script.ts.
 *
 * | what happens | becomes |
 * |---|---|
 * | a batch comes again, in whatever cuts | what is there is passed over: each entry once |
 * | the stream is beyond an entry that it never had | REFUSED, naming both: somebody else writes to it |
 * | the stream is deleted | it begins again |
 * | the stream ends before what it has taken | UNAVAILABLE, once: with a `resendWindow` what is gone is written again |
 * | errors of Redis | see answer.ts |
 *
 * Dead letters that are delivered again go to a stream of their own, `<prefix>:<lane>:replayed`: their ids were passed long ago.
 */
import { systemClock, type Clock } from '../../core/clock.ts';
import type { WriterLogger } from '../../core/define-writer.ts';
import { FondacoError } from '../../core/errors.ts';
import { perLane, type Lane } from '../../core/lane.ts';
import { formatMs } from '../../core/time.ts';
import type { Delivery, Writer } from '../../core/writer.ts';
import { cloudEventId } from '../cloudevents.ts';
import { Secrets } from '../secrets.ts';
import { Stop } from '../stop.ts';
import { loadTls } from '../tls-files.ts';
import { entryArguments, entryId, FIELD_NAMES } from './entry.ts';
import { Link } from './link.ts';
import { resolved, type RedisSettings, type Resolved } from './settings.ts';

export interface RedisParts {
  /** What the keys are named after, unless the settings have a prefix. */
  readonly site: string;
  /** What relative paths of the settings are relative to. */
  readonly directory: string;
  readonly clock: Clock;
  /** Told when entries are trimmed that a consumer group has not read, at most once a minute. */
  readonly logger: Pick<WriterLogger, 'warn'>;
}

const WARNING_MS = 60_000;
/** Replicas get this part of a batch's time. */
const REPLICAS_SHARE = 0.8;

export class RedisWriter implements Writer {
  readonly resendWindow: number | undefined;
  readonly #settings: Resolved;
  readonly #parts: RedisParts;
  readonly #links: Readonly<Record<Lane, Link>>;
  /** The last id that each stream is known to have. */
  readonly #tops = new Map<string, string>();
  /** What is under way. */
  readonly #writes = new Set<AbortController>();
  #isClosed = false;
  #warnedAt = -Infinity;
  /** Of each stream: the groups that missed something, and when they last did. */
  readonly #missed = new Map<string, string>();

  /** Opens no connection: the first write of a lane does. Rejects REFUSED where the TLS files cannot be used. */
  static async open(settings: RedisSettings, parts: Pick<RedisParts, 'site'> & Partial<RedisParts>): Promise<RedisWriter> {
    const all = { directory: process.cwd(), clock: systemClock(), logger: { warn: () => undefined }, ...parts };
    if (settings.tls) await loadTls(settings.tls, all.directory);
    return new RedisWriter(resolved(settings, all.site), all);
  }

  private constructor(settings: Resolved, parts: RedisParts) {
    const { password, sentinel } = settings;
    const { directory } = parts;
    const secrets = new Secrets([password, sentinel?.password].filter((text) => text !== undefined));
    this.#settings = settings;
    this.#parts = parts;
    this.resendWindow = settings.resendWindow;
    this.#links = perLane(() => new Link({ settings, directory, secrets }));
  }

  async write(batch: readonly Delivery[], signal: AbortSignal): Promise<void> {
    if (batch.length === 0) return;
    const { place, timeout } = this.#settings;
    if (this.#isClosed) throw new FondacoError('UNAVAILABLE', `redis ${place}: this writer is closed`);
    if (signal.aborted) throw new FondacoError('UNAVAILABLE', `redis ${place} was stopped`);
    const link = this.#links[batch[0]!.delivery.lane];
    // By hand: AbortSignal.any leaves something behind for each write (Node 20).
    const ending = new AbortController();
    const end = (): void => ending.abort();
    signal.addEventListener('abort', end, { once: true });
    this.#writes.add(ending);
    const stop = new Stop(ending.signal, { totalMs: timeout, headersMs: timeout });
    const drop = (): void => link.drop();
    stop.signal.addEventListener('abort', drop, { once: true });
    try {
      await this.#write(batch, link, stop);
    } finally {
      stop.signal.removeEventListener('abort', drop);
      stop.clear();
      this.#writes.delete(ending);
      signal.removeEventListener('abort', end);
    }
  }

  hasBroken(lane: Lane): boolean {
    return this.resendWindow !== undefined && this.#links[lane].hasBroken;
  }

  /** Of what was trimmed before a consumer group had read it, since this life began. */
  warnings(): readonly string[] {
    return [...this.#missed].map(([stream, what]) => `trim.entriesMax took entries out of ${stream} that were not read: ${what}`);
  }

  /** Ends what is under way. May be called more than once. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const write of this.#writes) write.abort();
    for (const link of Object.values(this.#links)) link.drop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #write(batch: readonly Delivery[], link: Link, stop: Stop): Promise<void> {
    const { prefix, trim, replicas, timeout } = this.#settings;
    const isReplay = batch[0]!.isReplay === true;
    const stream = `${prefix}:${batch[0]!.delivery.lane}${isReplay ? ':replayed' : ''}`;
    const options = [
      isReplay ? 'replay' : 'live',
      (isReplay ? undefined : this.#tops.get(stream)) ?? '',
      String(trim?.entriesMax ?? ''),
      trim?.acknowledged === true ? '1' : '0',
      String(FIELD_NAMES.length),
      ...FIELD_NAMES,
    ];
    const args = options.concat(...batch.map(entryArguments));
    const answer = await link.run([stream, `${stream}:written`], args, stop);
    this.#judge(answer, batch, stream);
    if (!isReplay) this.#tops.set(stream, entryId(batch.at(-1)!));
    if (replicas > 0) await this.#wait(link, stream, Math.floor(timeout * REPLICAS_SHARE), stop);
  }

  /** Throws what the script says but `ok`. */
  #judge([verdict, ...rest]: readonly unknown[], batch: readonly Delivery[], stream: string): void {
    if (verdict === 'ok') {
      this.#warn(stream, rest.slice(1).map(String));
      return;
    }
    const what = `redis ${this.#settings.place}, stream ${stream}`;
    if (verdict === 'lost') {
      const had = this.#tops.get(stream);
      this.#tops.delete(stream);
      throw new FondacoError(
        'UNAVAILABLE',
        `${what} must reach to ${had}, which it had taken, got its end at ${String(rest[0])}: Redis has lost it, or somebody has deleted the stream`,
      );
    }
    const ours = batch[Number(rest[0])]!;
    const named = `${entryId(ours)} with event ${cloudEventId(ours.event)}`;
    if (verdict === 'other') {
      throw new FondacoError('REFUSED', `${what} must have ${named}, got event ${shown(rest[1])} at that id: somebody else writes to it`);
    }
    if (verdict === 'passed') {
      throw new FondacoError(
        'REFUSED',
        `${what} must have ${named} or end before it, got neither: it reaches to ${String(rest[1])} with event ${shown(rest[2])}, so the entry cannot be added any more`,
      );
    }
    throw new FondacoError('UNAVAILABLE', `${what} must answer as the script does, got ${String(verdict)}`);
  }

  #warn(stream: string, groups: readonly string[]): void {
    if (groups.length === 0) return;
    const { clock, logger } = this.#parts;
    this.#missed.set(stream, `consumer group ${groups.join(', ')}, last at ${formatMs(clock.now())}`);
    if (clock.monotonic() < this.#warnedAt + WARNING_MS) return;
    this.#warnedAt = clock.monotonic();
    logger.warn({ stream, groups }, 'entries were trimmed that these consumer groups have not read: trim.entriesMax is too small');
  }

  async #wait(link: Link, stream: string, waitMs: number, stop: Stop): Promise<void> {
    const { place, replicas } = this.#settings;
    const got = await link.replicas(replicas, waitMs, stop);
    if (got < replicas) {
      throw new FondacoError(
        'UNAVAILABLE',
        `redis ${place}, stream ${stream} must be on ${replicas} replicas, got ${got} within ${waitMs} ms`,
      );
    }
  }
}

function shown(id: unknown): string {
  return id === '' ? '(none of ours)' : String(id);
}
