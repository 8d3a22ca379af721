/**
 * What a writer is given by those who use the dispatcher as a library, and the defaults, which are those of the proxy's config too. All
 * times are milliseconds, all sizes bytes.
 */
import type { RetryPolicy } from '../core/backoff.ts';
import { FondacoError } from '../core/errors.ts';
import type { Writer } from '../core/writer.ts';
import type { BacklogLimits, FeedSettings } from './feed/feed-settings.ts';
import { filterOf } from './feed/filter-settings.ts';
import type { Filter } from './feed/filter.ts';
import { isWriter, LateWriter } from './feed/late-writer.ts';
import { Settings } from './settings.ts';

/** One destination: only its name and its writer must be there. */
export interface WriterSettings {
  /** The destination's identity, 1 to 63 of a-z, 0-9 and -: its cursor is kept under this name, and another name is another destination. */
  readonly name: string;
  /**
   * The destination's client; or what opens it, at the first write. What keeps it from opening is then a state of this writer, and is tried
   * again: CONFIG and REFUSED as a refusal, anything else as UNAVAILABLE.
   */
  readonly writer: Writer | (() => Writer | Promise<Writer>);
  /** Takes out of what the writer says, in errors and warnings, what must not be shown. */
  readonly hide?: (text: string) => string;
  /** Which events it gets; all by default. Loss notices come all the same, unless `notices` is false. */
  readonly filter?: Filter;
  /** A batch goes out after `intervalMs` (1,000), or with `eventsMax` (500) or `bytesMax` (1 MiB); an urgent event waits for no other. */
  readonly batch?: Partial<FeedSettings['batch']>;
  /** `{ policy: 'backoff', initialMs: 1000, maxMs: 300_000 }` by default: for ever, doubling, with jitter. */
  readonly retry?: RetryPolicy;
  /** What may wait for it: `bytesMax` (1 GiB), `ageMaxMs` (no limit); `whenFull`: `drop-oldest`, announced, or `refuse`, which takes nothing in from anybody. */
  readonly backlog?: Partial<BacklogLimits>;
  readonly notices?: boolean;
  /** Heartbeats of proxies (`fondaco.Heartbeat`) come, past the filter; false: only where its `types` name them. */
  readonly heartbeats?: boolean;
  /** A write is aborted after so long, and counts as UNAVAILABLE; 60,000. */
  readonly writeTimeoutMs?: number;
}

const MIB = 1024 ** 2;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** What is taken where a setting is left out; times in ms, sizes in bytes. */
export const DEFAULTS = {
  dedup: { intervalMs: 10_000, windowsMax: 100_000 },
  urgent: 'critical',
  budget: { bytesMax: 4096 * MIB, retentionMs: 7 * DAY_MS },
  batch: { intervalMs: 1000, eventsMax: 500, bytesMax: MIB },
  retry: { policy: 'backoff', initialMs: 1000, maxMs: 300_000 },
  backlog: { bytesMax: 1024 * MIB, ageMaxMs: Infinity, whenFull: 'drop-oldest' },
  writeTimeoutMs: 60_000,
} as const;

/** Dead letters kept for each writer, and what they may take; at a limit its feed pauses until there is room. */
const DEAD_LETTERS = { deadLettersMax: 10_000, deadLetterBytesMax: 64 * MIB } as const;

const KEYS = ['name', 'writer', 'hide', 'filter', 'batch', 'retry', 'backlog', 'notices', 'heartbeats', 'writeTimeoutMs'];

/** The settings of all writers as their feeds take them. Throws CONFIG, naming the key, what it must be and what it is. */
export function feedSettings(writers: readonly WriterSettings[]): FeedSettings[] {
  if (!Array.isArray(writers)) throw new FondacoError('CONFIG', 'writers must be a list');
  const names = new Set<string>();
  return writers.map((given: unknown, index) => {
    const settings = new Settings(`writers[${index}]`, given, KEYS);
    const name = settings.text('name', '1 to 63 of a-z, 0-9 and -', /^[a-z0-9-]{1,63}$/);
    if (names.has(name)) throw settings.wrong('name', 'another than that of the writers before', name);
    names.add(name);
    return {
      name,
      writer: writerOf(settings),
      filter: filterOf(settings),
      batch: batchOf(settings),
      retry: retryOf(settings),
      backlog: backlogOf(settings),
      notices: settings.flag('notices', true),
      heartbeats: settings.flag('heartbeats', false),
      writeTimeoutMs: settings.whole('writeTimeoutMs', { min: 1, max: DAY_MS }, DEFAULTS.writeTimeoutMs),
      ...DEAD_LETTERS,
    };
  });
}

function writerOf(settings: Settings): Writer {
  const writer = settings.value('writer');
  const hide = settings.value('hide');
  if (hide !== undefined && typeof hide !== 'function') throw settings.wrong('hide', 'a function that takes and gives a text', hide);
  const isFunction = typeof writer === 'function';
  if (!isFunction && !isWriter(writer))
    throw settings.wrong('writer', 'an object with write(batch, signal), or a function that opens one', writer);
  if (!isFunction && hide === undefined) return writer;
  const open = async (): Promise<Writer> => (isFunction ? (writer as () => Writer | Promise<Writer>)() : writer);
  return new LateWriter(open, hide as WriterSettings['hide']);
}

function batchOf(settings: Settings): FeedSettings['batch'] {
  const batch = settings.inner('batch', Object.keys(DEFAULTS.batch));
  return {
    intervalMs: batch.whole('intervalMs', { min: 0, max: HOUR_MS }, DEFAULTS.batch.intervalMs),
    eventsMax: batch.whole('eventsMax', { min: 1, max: 10_000 }, DEFAULTS.batch.eventsMax),
    bytesMax: batch.whole('bytesMax', { min: 1024, max: 64 * MIB }, DEFAULTS.batch.bytesMax),
  };
}

function backlogOf(settings: Settings): BacklogLimits {
  const backlog = settings.inner('backlog', Object.keys(DEFAULTS.backlog));
  const ageMaxMs = backlog.value('ageMaxMs') ?? Infinity;
  return {
    bytesMax: backlog.whole('bytesMax', { min: MIB, max: MIB ** 2 }, DEFAULTS.backlog.bytesMax),
    ageMaxMs: ageMaxMs === Infinity ? Infinity : backlog.whole('ageMaxMs', { min: 1000, max: 3650 * DAY_MS }, 0),
    whenFull: backlog.word('whenFull', ['drop-oldest', 'refuse'], DEFAULTS.backlog.whenFull),
  };
}

function retryOf(settings: Settings): RetryPolicy {
  const given = settings.inner('retry', ['policy', 'initialMs', 'maxMs', 'intervalMs', 'attempts']);
  const policy = given.word('policy', ['backoff', 'constant', 'suspend', 'dead-letter'], DEFAULTS.retry.policy);
  const attempts = (): number => given.whole('attempts', { min: 1, max: 1_000_000 });
  if (policy === 'constant') {
    const retry = settings.inner('retry', ['policy', 'intervalMs', 'attempts']);
    const intervalMs = retry.whole('intervalMs', { min: 10, max: DAY_MS });
    return { policy, intervalMs, ...(retry.value('attempts') !== undefined && { attempts: attempts() }) };
  }
  const retry = settings.inner('retry', ['policy', 'initialMs', 'maxMs', ...(policy === 'backoff' ? [] : ['attempts'])]);
  const maxMs = retry.whole('maxMs', { min: 10, max: DAY_MS }, DEFAULTS.retry.maxMs);
  const initialMs = retry.whole('initialMs', { min: 10, max: Math.min(maxMs, HOUR_MS) }, Math.min(maxMs, DEFAULTS.retry.initialMs));
  return policy === 'backoff' ? { policy, initialMs, maxMs } : { policy, attempts: attempts(), initialMs, maxMs };
}
