/** What a writer of kind `http` may be told. */
import { z } from 'zod';
import { Secrets } from './secrets.ts';
import { duration, oneOf, section, text, type SettingProblem } from './settings.ts';
import { tlsProblems, tlsSettings } from './tls-files.ts';

/** Ours, and what makes the message: not to be set by hand. */
const OWN_HEADERS = new Set([
  'content-type',
  'content-length',
  'transfer-encoding',
  'connection',
  'host',
  'webhook-id',
  'expect',
  'upgrade',
]);

const timeLimit = (): z.ZodType<number> => duration({ min: '100ms', max: '10m' });

export const httpSettings = z.strictObject({
  /** Where to POST. A user and password in it become basic authorization. */
  url: text('an http:// or https:// URL', isHttpUrl),
  /** `cloudevents`: one event a request; the others carry a batch. */
  format: oneOf('cloudevents-batch', 'cloudevents', 'json', 'ndjson').default('cloudevents-batch'),
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

/** What is wrong with settings that are right one by one. */
export function httpProblems(settings: HttpSettings): SettingProblem[] {
  const problems = [...authProblems(settings)];
  if (settings.tls) {
    const within = tlsProblems(settings.tls).map(({ key, message }) => ({ key: ['tls', ...key], message }));
    problems.push(...within);
    if (new URL(settings.url).protocol === 'http:') problems.push({ key: ['tls'], message: 'must have an https:// url beside it' });
  }
  for (const key of ['connectTimeout', 'headersTimeout'] as const) {
    if ((settings[key] ?? 0) > settings.timeout) problems.push({ key: [key], message: 'must be at most timeout' });
  }
  return problems;
}

function authProblems({ url, auth, headers }: HttpSettings): SettingProblem[] {
  const hasHeader = Object.keys(headers).some((name) => name.toLowerCase() === 'authorization');
  const { username, password } = new URL(url);
  const hasUser = username !== '' || password !== '';
  if (!auth) {
    return hasUser && hasHeader ? [{ key: ['url'], message: 'must have no user and password beside an authorization header' }] : [];
  }
  if ((auth.bearer === undefined) === (auth.basic === undefined)) {
    return [{ key: ['auth'], message: 'must have one of bearer, basic' }];
  }
  if (hasHeader) return [{ key: ['auth'], message: 'must not stand beside an authorization header' }];
  return hasUser ? [{ key: ['auth'], message: 'must not stand beside a user and password in url' }] : [];
}

/** The authorization header, where the settings have one. */
export function authorization({ url, auth }: Pick<HttpSettings, 'url' | 'auth'>): Record<string, string> {
  if (auth?.bearer !== undefined) return { authorization: `Bearer ${auth.bearer}` };
  if (auth?.basic) return { authorization: basic(auth.basic.user, auth.basic.password) };
  const { username, password } = new URL(url);
  if (username === '' && password === '') return {};
  return { authorization: basic(decodeURIComponent(username), decodeURIComponent(password)) };
}

/** Of headers and of the url's query anything may be a secret, but a short word is seldom one, and is met in answers. */
const MAYBE_SECRET_CHARS_MIN = 8;

/** What of the settings may be a secret, in each form in which it is sent. */
export function secretsOf({ url, auth, headers }: HttpSettings): Secrets {
  const { password, searchParams } = new URL(url);
  const values = [...Object.values(headers), ...searchParams.values()];
  // `Bearer …` may be repeated without its first word.
  const words = values.flatMap((value) => [value, value.slice(value.indexOf(' ') + 1)]);
  const maybe = words.filter(({ length }) => length >= MAYBE_SECRET_CHARS_MIN);
  const sent = authorization({ url, auth }).authorization?.replace(/^\S+ /, '');
  const certain = [auth?.bearer, auth?.basic?.password, password, decodeURIComponent(password), sent];
  return new Secrets([...maybe, ...certain.filter((text) => text !== undefined)]);
}

/** RFC 7617, in UTF-8. */
function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
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
  return /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(value) && !OWN_HEADERS.has(value.toLowerCase());
}

function isHeaderValue(value: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(value);
}

function isOneLine(value: string): boolean {
  return value !== '' && !/\p{Cc}/u.test(value);
}
