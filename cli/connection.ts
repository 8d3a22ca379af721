/** What the flags of a verb that speaks to a proxy mean, with the environment behind them. */
import { readFileSync } from 'node:fs';
import { asError, FondacoError } from '../core/errors.ts';
import { isLoopback } from '../core/loopback.ts';
import type { RecorderOptions } from '../recorder/options.ts';
import type { Api } from './api.ts';
import { EXIT, ExitError } from './exit.ts';

/** What it takes to be let in, as flags. */
export interface CredentialFlags {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly token?: string;
  readonly tokenFile?: string;
}

/** How a verb reaches a proxy, as flags. */
export interface ConnectionFlags extends CredentialFlags {
  readonly api?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Of the HTTP listener. */
export const DEFAULT_API = '127.0.0.1:7071';

/**
 * Where the proxy is and what lets us in. Throws for an address that is none, for what does not go together and for what cannot be read: with
 * exit code 64 or 66 where the command line says so, CONFIG where the environment does.
 */
export function apiOptions(flags: ConnectionFlags, env: Environment): Api {
  const ca = read('--ca', flags.ca, env, 'FONDACO_CA');
  const cert = read('--cert', flags.cert, env, 'FONDACO_CERT');
  const key = read('--key', flags.key, env, 'FONDACO_KEY');
  if ((cert === undefined) !== (key === undefined))
    throw wrong(flags.cert ?? flags.key, '--cert and --key (FONDACO_CERT, FONDACO_KEY) go together, got one of them');
  const url = flags.api ?? given(env, 'FONDACO_API') ?? `${ca ? 'https' : 'http'}://${DEFAULT_API}`;
  const token = tokenOption(flags, env);
  checkUrl(url, { flags, hasCa: ca !== undefined, hasToken: token !== undefined });
  return { url, tls: { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) }, token };
}

/** The same for a recorder of the command line. Throws like `apiOptions`. */
export function recorderSecurity(flags: CredentialFlags, env: Environment): Pick<RecorderOptions, 'tls' | 'token'> {
  for (const name of ['ca', 'cert', 'key'] as const) read(`--${name}`, flags[name], {}, '');
  const ca = flags.ca ?? given(env, 'FONDACO_CA');
  const cert = flags.cert ?? given(env, 'FONDACO_CERT');
  const key = flags.key ?? given(env, 'FONDACO_KEY');
  const token = tokenOption(flags, env);
  const tls = { ...(ca !== undefined && { ca }), ...(cert !== undefined && { cert }), ...(key !== undefined && { key }) };
  return { ...(Object.keys(tls).length > 0 && { tls }), ...(token !== undefined && { token }) };
}

/** `--token`, `--token-file`, FONDACO_TOKEN, FONDACO_TOKEN_FILE, in this order. */
function tokenOption(flags: CredentialFlags, env: Environment): string | undefined {
  if (flags.token !== undefined && flags.tokenFile !== undefined) throw wrong('--token', '--token and --token-file exclude each other');
  const said = flags.token ?? read('--token-file', flags.tokenFile, {}, '')?.toString().trim();
  const token = said ?? given(env, 'FONDACO_TOKEN') ?? read('', undefined, env, 'FONDACO_TOKEN_FILE')?.toString().trim();
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) throw wrong(said, 'the token must be ASCII without spaces, got something else');
  return token;
}

interface Checked {
  readonly flags: ConnectionFlags;
  readonly hasCa: boolean;
  readonly hasToken: boolean;
}

function checkUrl(api: string, { flags, hasCa, hasToken }: Checked): void {
  if (api.startsWith('unix:/')) return;
  const url = URL.canParse(api) ? new URL(api) : undefined;
  const mustBe = (expected: string): Error =>
    wrong(flags.api, `${flags.api === undefined ? 'FONDACO_API' : '--api'} must be ${expected}, got ${JSON.stringify(api)}`);
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') throw mustBe('an http:// or https:// URL or unix:/path');
  if (url.protocol === 'https:') return;
  if (hasCa) throw mustBe('https:// where a CA is given');
  if (hasToken && !isLoopback(url.hostname)) throw mustBe('https:// where a token is sent beyond this machine');
}

/** The fault of the command line where it says so, else that of the environment. */
function wrong(flag: string | undefined, message: string): Error {
  return flag === undefined ? new FondacoError('CONFIG', message) : new ExitError(EXIT.usage, message);
}

/** A variable that is empty is not set. */
function given(env: Environment, variable: string): string | undefined {
  const value = env[variable];
  return value === '' ? undefined : value;
}

function read(flag: string, file: string | undefined, env: Environment, variable: string): Buffer | undefined {
  const path = file ?? given(env, variable);
  if (path === undefined) return undefined;
  try {
    return readFileSync(path);
  } catch (error) {
    const why = `must be a readable file, ${asError(error).message}`;
    if (file !== undefined) throw new ExitError(EXIT.noInput, `${flag} ${why}`, error);
    throw new FondacoError('CONFIG', `${variable} ${why}`, { cause: error });
  }
}
