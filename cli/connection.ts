/** What the flags of a verb that speaks to a proxy mean, with the environment behind them. */
import { readFileSync } from 'node:fs';
import { asError, FondacoError } from '../core/errors.ts';
import { isLoopback } from '../core/loopback.ts';
import type { RecorderOptions } from '../recorder/options.ts';
import type { Api } from './api.ts';

export interface CredentialFlags {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly token?: string;
  readonly tokenFile?: string;
}

export interface ConnectionFlags extends CredentialFlags {
  readonly api?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Of the HTTP listener. */
export const DEFAULT_API = '127.0.0.1:7071';

/** Where the proxy is and what lets us in. Throws CONFIG for an address that is none, and for what cannot be read. */
export function apiOptions(flags: ConnectionFlags, env: Environment): Api {
  const ca = read('--ca', flags.ca, env, 'FONDACO_CA');
  const cert = read('--cert', flags.cert, env, 'FONDACO_CERT');
  const key = read('--key', flags.key, env, 'FONDACO_KEY');
  if ((cert === undefined) !== (key === undefined))
    throw new FondacoError('CONFIG', '--cert and --key (FONDACO_CERT, FONDACO_KEY) go together, got one of them');
  const url = flags.api ?? given(env, 'FONDACO_API') ?? `${ca ? 'https' : 'http'}://${DEFAULT_API}`;
  const token = tokenOption(flags, env);
  checkUrl(url, ca !== undefined, token !== undefined);
  return { url, tls: { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) }, token };
}

/** The same for a recorder of the command line. Throws CONFIG. */
export function recorderSecurity(flags: CredentialFlags, env: Environment): Pick<RecorderOptions, 'tls' | 'token'> {
  const ca = flags.ca ?? given(env, 'FONDACO_CA');
  const cert = flags.cert ?? given(env, 'FONDACO_CERT');
  const key = flags.key ?? given(env, 'FONDACO_KEY');
  const token = tokenOption(flags, env);
  const tls = { ...(ca !== undefined && { ca }), ...(cert !== undefined && { cert }), ...(key !== undefined && { key }) };
  return { ...(Object.keys(tls).length > 0 && { tls }), ...(token !== undefined && { token }) };
}

/** `--token`, `--token-file`, FONDACO_TOKEN, FONDACO_TOKEN_FILE, in this order. Throws CONFIG. */
function tokenOption(flags: CredentialFlags, env: Environment): string | undefined {
  if (flags.token !== undefined && flags.tokenFile !== undefined)
    throw new FondacoError('CONFIG', '--token and --token-file exclude each other');
  const fromFile = (file: string | undefined): string | undefined => read('--token-file', file, {}, '')?.toString().trim();
  const token = flags.token ?? fromFile(flags.tokenFile) ?? given(env, 'FONDACO_TOKEN') ?? fromFile(given(env, 'FONDACO_TOKEN_FILE'));
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token))
    throw new FondacoError('CONFIG', 'the token must be ASCII without spaces, got something else');
  return token;
}

function checkUrl(api: string, hasCa: boolean, hasToken: boolean): void {
  if (api.startsWith('unix:/')) return;
  const url = URL.canParse(api) ? new URL(api) : undefined;
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:')
    throw new FondacoError('CONFIG', `--api must be an http:// or https:// URL or unix:/path, got ${JSON.stringify(api)}`);
  if (url.protocol === 'https:') return;
  if (hasCa) throw new FondacoError('CONFIG', `--api must be https:// where a CA is given, got ${JSON.stringify(api)}`);
  if (hasToken && !isLoopback(url.hostname))
    throw new FondacoError('CONFIG', `--api must be https:// where a token is sent beyond this machine, got ${JSON.stringify(api)}`);
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
    const name = file === undefined ? variable : flag;
    throw new FondacoError('CONFIG', `${name} must be a readable file, ${asError(error).message}`, { cause: error });
  }
}
