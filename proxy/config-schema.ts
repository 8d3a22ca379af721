/** The keys of a proxy's config (design section 7), each with what it may be. */
import { z } from 'zod';
import type { RetryPolicy } from '../core/backoff.ts';
import { SEVERITIES, type Severity } from '../core/severity.ts';
import { DEFAULTS } from '../dispatcher/writer-settings.ts';
import { duration, filePath, flag, leaf, oneOf, section, size, text, wholeNumber } from '../writers/settings.ts';
import { parseAddress, type ListenAddress } from './address.ts';
import { filterSchema } from './config-filter.ts';

/** Keys of the design that this version has not got yet, by the key they stand below: they get an answer of their own, because they are not misspelt. */
const LATER = new Set(['subscriptions', 'rotate.gzip']);

/** True for a key that a later version will know. */
export function comesLater(path: readonly PropertyKey[]): boolean {
  return LATER.has(
    path
      .filter((key) => typeof key === 'string')
      .slice(-2)
      .join('.'),
  );
}

const severity = (): z.ZodType<Severity> => oneOf(...(SEVERITIES as readonly [Severity, ...Severity[]]));
const waits = {
  initial: duration({ min: '10ms', max: '1h' }).default(DEFAULTS.retry.initialMs),
  max: duration({ min: '10ms', max: '1d' }).default(DEFAULTS.retry.maxMs),
};
const attempts = wholeNumber({ min: 1, max: 1_000_000 });

const retry = z.discriminatedUnion('policy', [
  section({ policy: z.literal('backoff'), ...waits }),
  section({ policy: z.literal('constant'), interval: duration({ min: '10ms', max: '1d' }), attempts: attempts.optional() }),
  section({ policy: z.literal('suspend'), attempts, ...waits }),
  section({ policy: z.literal('dead-letter'), attempts, ...waits }),
]);

const batch = section({
  /** How long an event of the normal lane may wait for others. */
  interval: duration({ min: '0ms', max: '1h' }).default(DEFAULTS.batch.intervalMs),
  eventsMax: wholeNumber({ min: 1, max: 10_000 }).default(DEFAULTS.batch.eventsMax),
  bytesMax: size({ min: '1KiB', max: '64MiB' }).default(DEFAULTS.batch.bytesMax),
});

const backlog = section({
  bytesMax: size({ min: '1MiB', max: '1TiB' }).default(DEFAULTS.backlog.bytesMax),
  ageMax: duration({ min: '1s', max: '3650d' }).optional(),
  /** Beyond `bytesMax`: the oldest is dropped and announced, normal lane before urgent; or nothing is taken in, from anybody. */
  whenFull: oneOf('drop-oldest', 'refuse').default(DEFAULTS.backlog.whenFull),
});

/** What every writer has, whatever its kind. */
export const writerShape = {
  /** The identity of the destination: a rename is a new one. */
  name: text('1 to 63 of a-z, 0-9 and -', (value) => /^[a-z0-9-]{1,63}$/.test(value)),
  kind: z.string(),
  batch: batch.prefault({}),
  retry: retry.prefault({ policy: 'backoff' }),
  backlog: backlog.prefault({}),
  filter: filterSchema.optional(),
  /** Whether loss notices come, past the filter. */
  notices: flag().default(true),
};

/** In the place of a writer that is no more: whether its place, its dead letters and what waits for it are kept, in case it comes back, or given up. */
export const removedShape = { name: writerShape.name, removed: oneOf('purge', 'keep') };

const address = (): z.ZodType<ListenAddress> =>
  leaf('host:port, [IPv6]:port or unix:/path', { type: 'string' }, (value) =>
    typeof value === 'string' ? parseAddress(value) : undefined,
  );

const pemFile = (): z.ZodType<string> => filePath('the path of a file in PEM');

/** All but the writers, whose keys depend on their kinds. */
export const configSchema = section({
  site: text('1 to 256 bytes without control characters', isName).optional(),
  labels: z
    .record(
      text('a label name: a letter, then up to 62 of A-Z, a-z, 0-9, _ . / -', (value) => /^[A-Za-z][A-Za-z0-9_./-]{0,62}$/.test(value)),
      text('a text of 1 to 256 bytes without control characters', isName),
    )
    .optional(),
  data: filePath('a directory').optional(),
  listen: section({
    grpc: address().default({ host: '127.0.0.1', port: 7070 }),
    http: address().default({ host: '127.0.0.1', port: 7071 }),
    /** Of both listeners. Paths are relative to the config file. */
    tls: section({ cert: pemFile(), key: pemFile(), clientCa: pemFile().optional() }).optional(),
    /** Wanted of whoever calls either listener, but for health. The characters are those of RFC 6750. */
    token: text('16 to 512 of A-Z, a-z, 0-9, - . _ ~ + / and = at its end', (value) =>
      /^[A-Za-z0-9._~+/-]{16,512}={0,2}$/.test(value),
    ).optional(),
    /** Sites whose proxies may forward events to this one; `*` stands for any characters. Any, unless told. */
    sites: z
      .array(text("a site's name, or a pattern such as 'plant-*'", (value) => value !== ''))
      .max(1000)
      .optional(),
    /** Whether others may be let in without both. */
    insecure: flag().default(false),
  }).prefault({}),
  dedup: section({
    interval: duration({ min: '0s', max: '1d' }).default(DEFAULTS.dedup.intervalMs),
    windowsMax: wholeNumber({ min: 1, max: 10_000_000 }).default(DEFAULTS.dedup.windowsMax),
  }).prefault({}),
  journal: section({
    /** Of entries; the database takes some more. */
    bytesMax: size({ min: '16MiB', max: '1TiB' }).default(DEFAULTS.budget.bytesMax),
    /** How long delivered events are kept for history, within the budget. */
    retention: duration({ min: '0s', max: '3650d' }).default(DEFAULTS.budget.retentionMs),
  }).prefault({}),
  lanes: section({ urgent: section({ minSeverity: severity().default(DEFAULTS.urgent) }).prefault({}) }).prefault({}),
  /** How often upstream writers tell the proxy above how this one is; 0s: never. Without an upstream writer never, unless told. */
  heartbeat: duration({ min: '0s', max: '1d' }).optional(),
  /** Event types that are known, with their severity and dedup fields where events have none. Relative to the config file. */
  catalogs: z.array(filePath('the path of a .proto file')).max(100).default([]),
  /** What becomes of events of other types. */
  unknownTypes: oneOf('accept', 'reject').default('accept'),
  inputs: leaf('an empty list, inputs besides gRPC come with a later version', { type: 'array', maxItems: 0 }, (value) =>
    Array.isArray(value) && value.length === 0 ? ([] as const) : undefined,
  ).optional(),
  writers: z.array(z.unknown()).max(100).optional(),
});

/** The policy as feeds take it. */
export function retryPolicy(settings: z.output<typeof retry>): RetryPolicy {
  if (settings.policy === 'constant') {
    const { policy, interval, attempts } = settings;
    return { policy, intervalMs: interval, ...(attempts === undefined ? {} : { attempts }) };
  }
  const { initial, max, ...rest } = settings;
  return { ...rest, initialMs: initial, maxMs: max };
}

function isName(value: string): boolean {
  return value !== '' && Buffer.byteLength(value) <= 256 && !/\p{Cc}/u.test(value);
}
