/** The options `tls` and `token`, with the environment behind them. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContext } from 'node:tls';
import { asError, FondacoError } from '../core/errors.ts';
import { isLoopback } from '../core/loopback.ts';
import type { LinkSecurity } from '../proto/record-client.ts';

/** Each a file in PEM, by its path or as a Buffer of what is in it. */
export interface TlsOptions {
  /** The CA that is trusted, and no other, such as `ca.crt` of `fondaco tls init`. Default: those that Node trusts. */
  readonly ca?: string | Buffer;
  /** The certificate that shows the proxy who we are, where it wants one. With `key`. */
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  /** The name in the proxy's certificate, if that is not the host of its address. */
  readonly serverName?: string;
}

const TLS_KEYS = ['ca', 'cert', 'key', 'serverName'];

/**
 * Checks both options and reads the files. Throws CONFIG; what is in a file or a token is never shown. That a certificate has expired is no
 * mistake in an option: the link says so, and events are kept meanwhile.
 */
export function checkSecurity(
  options: { readonly tls?: boolean | TlsOptions; readonly token?: string },
  proxies: readonly string[],
  env: NodeJS.ProcessEnv,
): LinkSecurity {
  const tls = checkTls(options.tls, env);
  const token = checkToken(options.token, env);
  const far = proxies.find((proxy) => !proxy.startsWith('unix:') && !isLoopback(proxy.replace(/:\d+$/, '')));
  if (token !== undefined && !tls && far !== undefined) {
    throw new FondacoError(
      'CONFIG',
      `tls must be set where a token goes to another machine, got none for ${far}: anybody on the way could read it. ` +
        'tls: { ca } or FONDACO_CA names the CA of the proxy, tls: true trusts public ones',
    );
  }
  return { ...tls, token };
}

function checkTls(given: unknown, env: NodeJS.ProcessEnv): Omit<LinkSecurity, 'token'> | undefined {
  const tls = given ?? fromEnvironment(env);
  if (tls === undefined || tls === false) return undefined;
  if (tls === true) return { tls: createSecureContext() };
  if (typeof tls !== 'object' || tls === null || Buffer.isBuffer(tls) || Array.isArray(tls)) {
    throw new FondacoError('CONFIG', `tls must be true, false or an object with any of ${TLS_KEYS.join(', ')}, got ${typeof tls}`);
  }
  const stray = Object.keys(tls).find((key) => !TLS_KEYS.includes(key));
  if (stray !== undefined) {
    throw new FondacoError('CONFIG', `tls must be an object with any of ${TLS_KEYS.join(', ')}, got ${JSON.stringify(stray)}`);
  }
  const { serverName, ...files } = tls as TlsOptions;
  if (serverName !== undefined && (typeof serverName !== 'string' || serverName === '')) {
    throw new FondacoError('CONFIG', `tls.serverName must be a host name, got ${JSON.stringify(serverName)}`);
  }
  return { tls: secureContext(files), hasCertificate: files.cert !== undefined, serverName };
}

function fromEnvironment(env: NodeJS.ProcessEnv): TlsOptions | undefined {
  const { FONDACO_CA: ca, FONDACO_CERT: cert, FONDACO_KEY: key } = env;
  if (!ca && !cert && !key) return undefined;
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
}

function secureContext(files: Omit<TlsOptions, 'serverName'>): SecureContext {
  if ((files.cert === undefined) !== (files.key === undefined)) {
    throw new FondacoError(
      'CONFIG',
      `tls.cert and tls.key must both be set or neither, got ${files.cert === undefined ? 'a key' : 'a certificate'}`,
    );
  }
  const [ca, cert, key] = [readPem('ca', files.ca), readPem('cert', files.cert), readPem('key', files.key)];
  if (ca) check('tls.ca must be a certificate in PEM', () => new X509Certificate(ca));
  const own = cert && check('tls.cert must be a certificate in PEM', () => new X509Certificate(cert));
  const secret = key && check('tls.key must be a private key in PEM without a passphrase', () => createPrivateKey(key));
  if (own && secret && !own.checkPrivateKey(secret)) {
    throw new FondacoError('CONFIG', 'tls.key must be the key of tls.cert, got that of another certificate');
  }
  return check('tls must be what OpenSSL takes', () =>
    createSecureContext({ ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) }),
  );
}

function readPem(option: string, file: unknown): Buffer | undefined {
  if (file === undefined || Buffer.isBuffer(file)) return file;
  if (typeof file !== 'string' || file === '' || file.includes('\n')) {
    throw new FondacoError(
      'CONFIG',
      `tls.${option} must be a path, or a Buffer of PEM, got ${typeof file === 'string' ? 'another text' : typeof file}`,
    );
  }
  return check(`tls.${option} must be a readable file`, () => readFileSync(file));
}

function checkToken(given: unknown, env: NodeJS.ProcessEnv): string | undefined {
  const { FONDACO_TOKEN: named, FONDACO_TOKEN_FILE: file } = env;
  const fromFile = (): string | undefined =>
    file ? check('FONDACO_TOKEN_FILE must be a readable file', () => readFileSync(file, 'utf8')).trim() : undefined;
  const token = given ?? (named === '' ? undefined : named) ?? fromFile();
  if (token === undefined || (typeof token === 'string' && /^[\x21-\x7e]{1,512}$/.test(token))) return token;
  throw new FondacoError('CONFIG', 'token must be 1 to 512 ASCII characters without spaces, got something else');
}

function check<T>(expected: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new FondacoError('CONFIG', `${expected}, got ${asError(error).message}`, { cause: error });
  }
}
