/**
 * The config while the proxy runs. When its file changes, or on SIGHUP, it is read and checked as a whole; then the writers that differ are changed,
 * each from its cursor, and nothing else. A config with anything wrong changes nothing. The file is the only place where the change is stored: a
 * kill in the middle leaves writers of which some are as before, and the next start takes the file.
 */
import { isDeepStrictEqual } from 'node:util';
import { Bell } from '../core/bell.ts';
import type { Clock } from '../core/clock.ts';
import { asError, isFondacoError } from '../core/errors.ts';
import { formatMs } from '../core/time.ts';
import type { WriterChange } from '../dispatcher/dispatch.ts';
import type { WriterSettings } from '../dispatcher/writer-settings.ts';
import { watchConfig } from './config-watch.ts';
import type { WriterConfig } from './config-writers.ts';
import { formatProblem, type CheckedConfig, type ProxyConfig } from './config.ts';

/** Who starts a proxy says how its config is read again; without it, it stays as it is. */
export interface ConfigSource {
  /** Reads and checks it as at the start. */
  readonly check: () => Promise<CheckedConfig>;
  /** Whether its file is watched. */
  readonly isWatched: boolean;
}

/** What /v1/status tells of the config. */
export interface ConfigStatus {
  /** Null for the built-in default, or one that is no file. */
  readonly file: string | null;
  /** When that which is in effect was read; RFC 3339. */
  readonly loadedAt: string;
  /** Why the file, as it is now, is not in effect. */
  readonly problems?: readonly string[];
  /** Keys that have changed in it since the start, and will be in effect after the next. */
  readonly needsRestart?: readonly string[];
}

export interface LiveParts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** What a writer of the config is for the dispatcher. */
  readonly settingsOf: (writer: WriterConfig) => Promise<WriterSettings>;
  /** Changes them; see Dispatch.change. */
  readonly change: (change: WriterChange) => Promise<void>;
  /** Calls `listener` at each SIGHUP. Returns what ends it. */
  readonly onHangup: (listener: () => void) => () => void;
  /** Before a SIGHUP reads the config: files are opened anew. */
  readonly reopen: () => void;
}

interface Logger {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

/** A file is read when nothing has happened to it for so long, ms, or, should it never come to rest, after so many of these. */
const QUIET_MS = 250;
const UNREST_MAX = 20;

/** What a running proxy cannot take over, by the names of the file. */
const AT_START = {
  site: 'site',
  labels: 'labels',
  data: 'data',
  listen: 'listen',
  heartbeatMs: 'heartbeat',
  dedup: 'dedup',
  urgent: 'lanes',
  journal: 'journal',
  catalogs: 'catalogs',
  unknownTypes: 'unknownTypes',
} as const;

type Why = 'SIGHUP' | 'the file has changed';

export class LiveConfig {
  readonly #parts: LiveParts;
  readonly #source: ConfigSource | undefined;
  /** As it was at the start. */
  readonly #start: ProxyConfig;
  readonly #bell = new Bell();
  #writers: readonly WriterConfig[];
  #removed: ProxyConfig['removed'] = [];
  #why: Why = 'the file has changed';
  #events = 0;
  #status: ConfigStatus;

  constructor(start: ProxyConfig, source: ConfigSource | undefined, parts: LiveParts) {
    this.#parts = parts;
    this.#source = source;
    this.#start = start;
    this.#writers = start.writers;
    this.#status = { file: start.file ?? null, loadedAt: formatMs(parts.clock.now()) };
  }

  status(): ConfigStatus {
    return this.#status;
  }

  /** As it is in effect. */
  writer(name: string): WriterConfig | undefined {
    return this.#writers.find((writer) => writer.name === name);
  }

  /** Watches and takes over until `signal` is aborted. Rejects with a bug alone. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger, reopen } = this.#parts;
    const endHangups = this.#parts.onHangup(() => {
      reopen();
      this.#why = 'SIGHUP';
      this.#ring();
    });
    const failed = (err: Error): void => logger.warn({ err }, 'the config file cannot be watched; SIGHUP takes it over');
    const { file } = this.#start;
    const isWatched = this.#source?.isWatched === true && file !== undefined;
    const watching = isWatched ? watchConfig(file, { changed: () => this.#ring(), failed }, signal) : undefined;
    signal.addEventListener('abort', () => this.#bell.ring(), { once: true });
    await this.#removeFirst();
    while (!signal.aborted) {
      await this.#bell.wait(clock);
      await this.#quiet(signal);
      const why = this.#why;
      this.#why = 'the file has changed';
      if (!signal.aborted) await this.#reload(why);
    }
    endHangups();
    await watching;
  }

  #ring(): void {
    this.#events++;
    this.#bell.ring();
  }

  /** Waits for who writes the file to be done with it. */
  async #quiet(signal: AbortSignal): Promise<void> {
    for (let i = 0; i < UNREST_MAX && this.#why !== 'SIGHUP' && !signal.aborted; i++) {
      const before = this.#events;
      await this.#parts.clock.sleep(QUIET_MS, signal);
      if (this.#events === before) return;
    }
  }

  /** What the config of the start removes may be there still. */
  async #removeFirst(): Promise<void> {
    const { removed } = this.#start;
    if (removed.length > 0) await this.#change({ put: [], remove: removed }, 'SIGHUP');
    this.#removed = removed;
  }

  async #reload(why: Why): Promise<void> {
    if (!this.#source) return;
    const read = await this.#read(this.#source);
    if ('problems' in read) this.#refuse(read.problems, why);
    else await this.#takeOver(read.config, why);
  }

  /** The config as it is now, or why it cannot be taken over. */
  async #read(source: ConfigSource): Promise<{ config: ProxyConfig } | { problems: readonly string[] }> {
    // Whatever a file does to those who read it, it ends no proxy.
    const checked = await source.check().catch((error: unknown) => [asError(error).message]);
    if (Array.isArray(checked)) return { problems: checked };
    if ('problems' in checked) return { problems: checked.problems.map(formatProblem) };
    const { config } = checked;
    const unsaid = this.#writers.filter(({ name }) => [...config.writers, ...config.removed].every((each) => each.name !== name));
    if (unsaid.length > 0) return { problems: unsaid.map(unsaidProblem) };
    return { config };
  }

  async #takeOver(config: ProxyConfig, why: Why): Promise<void> {
    const { logger, clock } = this.#parts;
    const put = config.writers.filter((writer) => !isDeepStrictEqual(this.writer(writer.name), writer));
    const remove = config.removed.filter((each) => this.#removed.every((before) => !isDeepStrictEqual(before, each)));
    const needsRestart = this.#changedForGood(config);
    const isNews = put.length + remove.length > 0 || this.#status.problems !== undefined || why === 'SIGHUP';
    if (!isNews && isDeepStrictEqual(needsRestart, this.#status.needsRestart ?? [])) return;
    const known = new Set(this.#writers.map(({ name }) => name));
    this.#writers = config.writers;
    this.#removed = config.removed;
    const { file } = this.#status;
    this.#status = { file, loadedAt: formatMs(clock.now()), ...(needsRestart.length > 0 && { needsRestart }) };
    if (!(await this.#change({ put, remove }, why))) return;
    const names = (writers: readonly { name: string }[]): string[] => writers.map(({ name }) => name);
    const added = names(put.filter(({ name }) => !known.has(name)));
    const changed = names(put.filter(({ name }) => known.has(name)));
    logger.info({ why, added, changed, removed: names(remove) }, 'the config was taken over');
    if (needsRestart.length > 0) logger.warn({ needsRestart }, 'some of the config will be in effect after a restart');
  }

  /** Keys that a running proxy cannot take over. */
  #changedForGood(config: ProxyConfig): string[] {
    const keys = Object.keys(AT_START) as (keyof typeof AT_START)[];
    return keys.filter((key) => !isDeepStrictEqual(this.#start[key], config[key])).map((key) => AT_START[key]);
  }

  /** False: it could not be done wholly. */
  async #change({ put, remove }: { put: readonly WriterConfig[]; remove: ProxyConfig['removed'] }, why: Why): Promise<boolean> {
    try {
      await this.#parts.change({
        put: await Promise.all(put.map(async (writer) => this.#parts.settingsOf(writer))),
        remove: remove.map(({ name, removed }) => ({ name, purge: removed === 'purge' })),
      });
      return true;
    } catch (error) {
      if (!isFondacoError(error)) throw error;
      this.#removed = this.#removed.filter(({ removed }) => removed !== 'purge'); // the next time again
      this.#refuse(
        [`what a writer that is to be purged had could not be given up: ${error.text}; fondaco does so at the next SIGHUP or start`],
        why,
      );
      return false;
    }
  }

  /** Said once, however often the file is written with the same mistakes. */
  #refuse(problems: readonly string[], why: Why): void {
    const isKnown = isDeepStrictEqual(this.#status.problems, problems);
    this.#status = { ...this.#status, problems };
    if (isKnown && why !== 'SIGHUP') return;
    this.#parts.logger.error({ why, problems }, 'the config is not taken over, what ran goes on');
  }
}

function unsaidProblem({ name }: WriterConfig): string {
  return (
    `writers must name ${name}, which runs, or say what becomes of it: { name: ${name}, removed: keep } keeps its place, its dead letters and ` +
    `what waits for it in case it comes back, { name: ${name}, removed: purge } gives them up`
  );
}
