/** Certificates and a token for one site, so that a proxy may be reached from beyond its machine. */
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { lstatSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { domainToASCII } from 'node:url';
import { systemClock } from '../core/clock.ts';
import { asError, FondacoError } from '../core/errors.ts';
import { makeDirectory } from '../journal/make-directory.ts';
import { EXIT, ExitError } from './exit.ts';
import { connectionLines } from './tls-text.ts';
import { count, print, printJson, table } from './text.ts';
import { issueCertificate, type CertificateUse, type Issuer } from './x509.ts';

export interface TlsFlags {
  /** The folder of the site's files. */
  readonly dir: string;
  /** Hosts and addresses, also several in one text, separated by commas. */
  readonly name?: readonly string[];
  readonly days?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** A file that is made: what it is called, who needs it, whether others may read it. */
interface Made {
  readonly file: string;
  readonly content: string;
  readonly isSecret: boolean;
  readonly users: string;
}

const DAY_MS = 24 * 3600 * 1000;
/** Clocks at the edge disagree: a new certificate is good for those that are behind by less. */
const SKEW_MS = 3600 * 1000;
const CA_DAYS = 3650;
/** What Apple takes at most, and long enough to be forgotten. */
const DEFAULT_DAYS = 825;
const COMMON_NAME_CHARS_MAX = 64;
/** RFC 1035 by its letters, underscores as they are met, a star for the first label. */
const HOST = /^(?=.{1,253}$)(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$/;

/** Makes a CA, what it issues for a proxy and its agents, and a token. Rejects CONFIG, or with exit code 64 for what is asked wrongly; nothing is overwritten without `force`. */
export async function initTls(flags: TlsFlags): Promise<void> {
  const asked = askedNames(flags.name);
  const names = serverNames(asked);
  const [now, days] = [systemClock().now(), daysOf(flags.days)];
  const host = hostname();
  const ca = issueCertificate({
    use: 'ca',
    commonName: `Fondaco CA of ${host}`.slice(0, COMMON_NAME_CHARS_MAX),
    ...validity(now, CA_DAYS),
  });
  const issuer = { certificate: new X509Certificate(ca.cert), key: createPrivateKey(ca.key) };
  const made = [
    { file: 'ca.crt', content: ca.cert, isSecret: false, users: 'agents and operators: whom to trust' },
    { file: 'ca.key', content: ca.key, isSecret: true, users: 'only `fondaco tls`: keep it away from the network' },
    ...pair('server', 'server', 'the proxy', serverName(host), { now, days, names, issuer }),
    ...pair('agent', 'agent', 'agents and operators, if clientCa is set', 'agent', { now, days, issuer }),
    { file: 'token', content: `${randomBytes(32).toString('base64url')}\n`, isSecret: true, users: 'the proxy, agents and operators' },
  ];
  await write(flags, made);
  tell(
    flags,
    made,
    names,
    `a CA for 10 years, certificates for ${count(days)} days`,
    connectionLines(flags.dir, asked[0] ?? serverName(host)),
  );
}

/** Makes another certificate for the proxy, from the CA that is in `dir`, with the names of the one that is there, and more. Rejects CONFIG, or with exit code 64. */
export async function issueServer(flags: TlsFlags): Promise<void> {
  const names = serverNames([...presentNames(join(flags.dir, 'server.crt')), ...askedNames(flags.name)]);
  const [now, days] = [systemClock().now(), daysOf(flags.days)];
  const made = pair('server', 'server', 'the proxy', serverName(hostname()), { now, days, names, issuer: readIssuer(flags.dir, now) });
  await write(flags, made);
  tell(flags, made, names, 'the proxy reads it at its next start');
}

/** Makes a certificate for an agent or an operator called `name`, from the CA that is in `dir`. Rejects CONFIG, or with exit code 64. */
export async function issueAgent(name: string, flags: TlsFlags): Promise<void> {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name)) {
    throw new ExitError(EXIT.usage, `the name must be 1 to 63 of A-Z, a-z, 0-9, . _ and -, got ${JSON.stringify(name)}`);
  }
  const [now, days] = [systemClock().now(), daysOf(flags.days)];
  const made = pair(`agent-${name}`, 'agent', name, name, { now, days, issuer: readIssuer(flags.dir, now) });
  await write(flags, made);
  tell(flags, made, [], `for ${name}`);
}

interface Terms {
  readonly now: number;
  readonly days: number;
  readonly names?: readonly string[];
  readonly issuer: Issuer;
}

function pair(file: string, use: CertificateUse, users: string, commonName: string, { now, days, names, issuer }: Terms): Made[] {
  const { notBefore, notAfter } = validity(now, days);
  // What outlives its CA is not trusted by then.
  const end = new Date(Math.min(notAfter.getTime(), Date.parse(issuer.certificate.validTo)));
  const { cert, key } = issueCertificate({ use, commonName, ...(names && { names }), notBefore, notAfter: end }, issuer);
  return [
    { file: `${file}.crt`, content: cert, isSecret: false, users },
    { file: `${file}.key`, content: key, isSecret: true, users },
  ];
}

function validity(now: number, days: number): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(now - SKEW_MS), notAfter: new Date(now - SKEW_MS + days * DAY_MS) };
}

function daysOf(text: string | undefined): number {
  const days = Number(text ?? DEFAULT_DAYS);
  if (Number.isInteger(days) && days >= 1 && days <= CA_DAYS) return days;
  throw new ExitError(EXIT.usage, `--days must be a whole number from 1 to ${CA_DAYS}, got ${JSON.stringify(text)}`);
}

/** This machine by its name and by itself, and what was asked for. */
function serverNames(asked: readonly string[]): string[] {
  return [...new Set([serverName(hostname()), 'localhost', '127.0.0.1', '::1', ...asked])];
}

function askedNames(given: readonly string[] = []): string[] {
  return given
    .flatMap((text) => text.split(','))
    .map((name) => {
      const checked = checkName(name.trim());
      if (checked !== undefined) return checked;
      throw new ExitError(EXIT.usage, `--name must be a host name or an IP address, got ${JSON.stringify(name)}`);
    });
}

/** Whoever renews a certificate need not remember what it was called. */
function presentNames(file: string): string[] {
  if (!exists(file)) return [];
  try {
    const { subjectAltName = '' } = new X509Certificate(readFileSync(file));
    return subjectAltName.split(', ').map((name) => {
      const checked = checkName(name.replace(/^(?:DNS|IP Address):/, ''));
      if (checked !== undefined) return checked;
      throw new Error(`the name ${JSON.stringify(name)}`);
    });
  } catch (error) {
    throw new FondacoError('CONFIG', `${file} must be a certificate whose names can be kept, got ${asError(error).message}`, {
      cause: error,
    });
  }
}

/** In the one form that it has in a certificate; undefined for what is neither a host's name nor an address. */
function checkName(name: string): string | undefined {
  // One address, one form.
  if (isIP(name) === 6 && !name.includes('%')) return new URL(`http://[${name}]`).hostname.slice(1, -1);
  if (isIP(name) === 4) return name;
  // In letters beyond ASCII a host is known by its punycode.
  const host = /[^ -~]/.test(name) && !/\p{Cc}/u.test(name) ? domainToASCII(name) : name;
  // 10.0.0.300 would pass as a host.
  return HOST.test(host) && !/^[\d.]+$/.test(host) ? host : undefined;
}

/** A certificate's name for a machine that is called so; a host may have a name that none can be asked for by. */
function serverName(host: string): string {
  return HOST.test(host) && host.length <= COMMON_NAME_CHARS_MAX ? host : 'localhost';
}

/** The CA of `dir`. Throws CONFIG if it is none that can issue. */
function readIssuer(dir: string, now: number): Issuer {
  const wrong = (file: string, expected: string, cause?: unknown): FondacoError =>
    new FondacoError('CONFIG', `${join(dir, file)} must be ${expected}`, { cause });
  const read = <T>(file: string, expected: string, parse: (pem: Buffer) => T): T => {
    try {
      return parse(readFileSync(join(dir, file)));
    } catch (error) {
      throw wrong(file, `${expected}, as fondaco tls init makes it, got ${asError(error).message}`, error);
    }
  };
  const certificate = read('ca.crt', 'the certificate of a CA', (pem) => new X509Certificate(pem));
  const key = read('ca.key', 'its private key', (pem) => createPrivateKey(pem));
  if (!certificate.ca) throw wrong('ca.crt', 'the certificate of a CA, got another');
  if (!certificate.checkPrivateKey(key)) throw wrong('ca.key', 'the key of ca.crt, got that of another certificate');
  if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw wrong('ca.key', 'a key of the curve P-256, got another');
  if (Date.parse(certificate.validTo) <= now)
    throw wrong('ca.crt', `valid, it expired at ${certificate.validTo}: fondaco tls init --force makes a new site`);
  return { certificate, key };
}

/** All of them or, as far as that can be seen before, none. A secret is never readable for others, not even for a moment. */
async function write({ dir, force = false }: TlsFlags, made: readonly Made[]): Promise<void> {
  const there = force ? undefined : made.find(({ file }) => exists(join(dir, file)));
  if (there) throw new FondacoError('CONFIG', `${join(dir, there.file)} must not be there yet: --force replaces it, for good`);
  const aside = (file: string): string => join(dir, `.${file}.${process.pid}.new`);
  const written: string[] = [];
  try {
    await makeDirectory(dir, 0o700);
    for (const { file, content, isSecret } of made) {
      written.push(file); // also if only in part
      writeFileSync(aside(file), content, { mode: isSecret ? 0o600 : 0o644, flag: 'wx', flush: true });
    }
    for (const { file } of made) renameSync(aside(file), join(dir, file));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') written.pop(); // of somebody else
    for (const file of written) rmSync(aside(file), { force: true });
    throw new FondacoError('CONFIG', `--dir must be a folder that can be written to, ${asError(error).message}`, { cause: error });
  }
}

/** Throws CONFIG where that cannot be seen. */
function exists(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return false;
    throw new FondacoError('CONFIG', `--dir must be a folder that can be read, ${asError(error).message}`, { cause: error });
  }
}

function tell({ dir, json }: TlsFlags, made: readonly Made[], names: readonly string[], what: string, lines = ''): void {
  const [certificate] = made
    .filter(({ file }) => file.endsWith('.crt') && file !== 'ca.crt')
    .map(({ content }) => new X509Certificate(content));
  const expires = new Date(certificate?.validTo ?? 0).toISOString();
  if (json) {
    printJson({ directory: dir, names, expires, files: made.map(({ file, users, isSecret }) => ({ file, users, isSecret })) });
    return;
  }
  print(`made in ${dir}: ${what}, until ${expires.slice(0, 10)}\n`);
  print(
    table(
      ['file', 'who needs it', ''],
      made.map(({ file, users, isSecret }) => [file, users, isSecret ? 'SECRET' : '']),
    ),
  );
  if (names.length > 0) print(`\nthe proxy can be called ${names.join(', ')}; --name adds others`);
  if (lines !== '') print(`\n${lines}`);
}
