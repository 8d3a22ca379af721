/** What a writer of kind `http` may be told. */
import { z } from 'zod';
import { duration, leaf, oneOf, section, size, text, wholeNumber, type SettingProblem } from '../settings.ts';
import { tlsProblems, tlsSettings } from '../tls-files.ts';
import { authProblems } from './credentials.ts';
import { isWebhookSecret } from './signature.ts';

/** Ours, and what makes the message: not to be set by hand. So are those of CloudEvents, which begin with `ce-`. */
const OWN_HEADERS = new Set([
  'content-type',
  'content-encoding',
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'te',
  'trailer',
  'host',
  'webhook-id',
  'webhook-timestamp',
  'webhook-signature',
  'expect',
  'upgrade',
]);

const CONTEXT_CHARS_MAX = 1024;
/** Requests side by side, in each lane. */
const CONCURRENCY_MAX = 64;

const SECRET = 'whsec_ and the base64 of 24 to 64 bytes, or a list of two such secrets';

const timeLimit = (): z.ZodType<number> => duration({ min: '100ms', max: '10m' });

export const httpSettings = z.strictObject({
  /** Where to POST. A user and password in it become basic authorization. */
  url: text('an http:// or https:// URL', isHttpUrl),
  /** `cloudevents` (structured) and `cloudevents-binary`: one event a request; the others carry a batch. */
  format: oneOf('cloudevents-batch', 'cloudevents', 'cloudevents-binary', 'json', 'ndjson', 'redfish').default('cloudevents-batch'),
  /** Of `redfish`. */
  redfish: section({
    /** The `Context` of each event, as it was given with the subscription; empty unless told. */
    context: text(
      `at most ${CONTEXT_CHARS_MAX} characters`,
      (value) => value.length <= CONTEXT_CHARS_MAX && !/\p{Cc}/u.test(value),
    ).optional(),
    /** The message registry before the type of an event that has no MessageId of its own; Fondaco.1.0 unless told. */
    registry: text('a message registry with its version, such as Fondaco.1.0', (value) =>
      /^[A-Za-z0-9]{1,64}\.\d{1,4}\.\d{1,4}$/.test(value),
    ).optional(),
  }).optional(),
  compression: oneOf('none', 'gzip').default('none'),
  /** Signs each request (Standard Webhooks); two while one is rotated: both signatures are sent. */
  secret: leaf(
    SECRET,
    { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' }, minItems: 1, maxItems: 2 }] },
    readSecrets,
  ).optional(),
  /** Requests side by side, in each lane, of the formats with one event a request; the order is kept for each object. */
  concurrency: wholeNumber({ min: 1, max: CONCURRENCY_MAX }).default(1),
  /** Not more than so much is sent on average, headers aside. */
  limit: section({
    eventsPerSecond: wholeNumber({ min: 1, max: 1_000_000 }).optional(),
    bytesPerSecond: size({ min: '1KiB', max: '1GiB' }).optional(),
  }).optional(),
  /** Further headers of each request. */
  headers: z
    .record(text('a header name that is not one of ours', isHeaderName), text('a header value on one line', isHeaderValue))
    .default({}),
  /** One of the two; another scheme is a header. */
  auth: section({
    bearer: text('a token of printable characters without spaces', (value) => /^[\x21-\x7e]+$/.test(value)).optional(),
    basic: section({
      user: text('a user name without a colon', (value) => isOneLine(value) && !value.includes(':')),
      password: text('a password on one line', isOneLine),
    }).optional(),
  }).optional(),
  tls: tlsSettings.optional(),
  /** For the whole request, its answer included. */
  timeout: timeLimit().default(30_000),
  /** For the connection, TLS included; at most `timeout`. */
  connectTimeout: timeLimit().optional(),
  /** Until the answer begins; at most `timeout`. */
  headersTimeout: timeLimit().optional(),
});

export type HttpSettings = z.output<typeof httpSettings>;

/** Beside the requests of a write, which have a time limit each. */
const WRITE_MS_MAX = 24 * 3600 * 1000;
/** Of each connection's share of a batch. */
const EVENTS_PER_CONNECTION = 4;

/** How long a write may take. */
export function httpWriteMs({ timeout, limit, concurrency }: HttpSettings): number {
  return limit || concurrency > 1 ? WRITE_MS_MAX : timeout + 5000;
}

/**
 * How many events a write may have at most: with one event a request, few enough that what was taken is settled soon; with a limit, no more
 * than a second may bring.
 */
export function httpEventsMax(settings: HttpSettings): number | undefined {
  const { concurrency, limit } = settings;
  const most = !isOneByOne(settings) ? Infinity : concurrency === 1 ? 1 : concurrency * EVENTS_PER_CONNECTION;
  const eventsMax = Math.min(most, limit?.eventsPerSecond ?? Infinity);
  return eventsMax === Infinity ? undefined : eventsMax;
}

/** Formats with one event a request. */
export function isOneByOne({ format }: Pick<HttpSettings, 'format'>): boolean {
  return format === 'cloudevents' || format === 'cloudevents-binary';
}

/** What is wrong with settings that are right one by one. */
export function httpProblems(settings: HttpSettings): SettingProblem[] {
  const problems = [...authProblems(settings)];
  if (settings.tls) {
    const within = tlsProblems(settings.tls).map(({ key, message }) => ({ key: ['tls', ...key], message }));
    problems.push(...within);
    if (new URL(settings.url).protocol === 'http:') problems.push({ key: ['tls'], message: 'must have an https:// url beside it' });
  }
  if (settings.redfish && settings.format !== 'redfish')
    problems.push({ key: ['redfish'], message: 'must stand beside format redfish only' });
  if (settings.concurrency > 1 && !isOneByOne(settings)) {
    problems.push({ key: ['concurrency'], message: 'must stand beside format cloudevents or cloudevents-binary, the others send a batch' });
  }
  for (const key of ['connectTimeout', 'headersTimeout'] as const) {
    if ((settings[key] ?? 0) > settings.timeout) problems.push({ key: [key], message: 'must be at most timeout' });
  }
  return problems;
}

function isHttpUrl(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const url = new URL(value);
  return (url.protocol === 'http:' || url.protocol === 'https:') && url.hostname !== '' && isDecodable(url.username + url.password);
}

/** A bare % in a password is a mistake that only shows when it is used. */
function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

function isHeaderName(value: string): boolean {
  return /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(value) && !OWN_HEADERS.has(value.toLowerCase()) && !/^ce-/i.test(value);
}

function isHeaderValue(value: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(value);
}

function readSecrets(value: unknown): readonly string[] | undefined {
  const secrets: unknown[] = Array.isArray(value) ? value : [value];
  const areGood =
    secrets.length >= 1 && secrets.length <= 2 && secrets.every((secret) => typeof secret === 'string' && isWebhookSecret(secret));
  return areGood ? (secrets as string[]) : undefined;
}

function isOneLine(value: string): boolean {
  return value !== '' && !/\p{Cc}/u.test(value);
}
