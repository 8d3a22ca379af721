/** How a writer of kind `http` says who it is, and what of that must not be shown. */
import { Secrets } from '../secrets.ts';
import type { SettingProblem } from '../settings.ts';
import type { HttpSettings } from './settings.ts';

/** What is wrong with the credentials, each right in itself. */
export function authProblems({ url, auth, headers }: HttpSettings): SettingProblem[] {
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
export function secretsOf({ url, auth, headers, secret = [] }: HttpSettings): Secrets {
  const { password, searchParams } = new URL(url);
  const values = [...Object.values(headers), ...searchParams.values()];
  // `Bearer …`, `Token token=…` and cookies may be repeated in parts.
  const words = values.flatMap((value) => [value, value.slice(value.indexOf(' ') + 1), ...value.split(/[\s=;,"']+/)]);
  const maybe = words.filter(({ length }) => length >= MAYBE_SECRET_CHARS_MIN);
  const sent = authorization({ url, auth }).authorization?.replace(/^\S+ /, '');
  const certain = [
    auth?.bearer,
    auth?.basic?.password,
    password,
    decodeURIComponent(password),
    sent,
    ...secret,
    ...secret.map((text) => text.replace(/^whsec_/, '')),
  ];
  return new Secrets([...maybe, ...certain.filter((text) => text !== undefined)]);
}

/** RFC 7617, in UTF-8. */
function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}
