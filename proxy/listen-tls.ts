/** The files of `listen.tls`: read, and checked for all that a handshake would stumble over. */
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import { asError } from '../core/errors.ts';
import { showPath, type ConfigText } from './config-yaml.ts';

/** What both listeners prove who they are with, in PEM; with `clientCa`, whom they want to see a certificate of. */
export interface ListenTls {
  /** The server's certificate, and perhaps others of its chain. */
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Clients must show a certificate that one of these CAs has signed. */
  readonly clientCa: Buffer | undefined;
  /** When the first of the certificates expires. */
  readonly expires: Date;
}

/** `listen.tls` as it is written: paths, relative to the config file. */
export interface ListenTlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly clientCa?: string | undefined;
}

type Field = keyof ListenTlsFiles;

const FILE_BYTES_MAX = 1024 * 1024;
const CERTIFICATE = /-----BEGIN (?:TRUSTED )?CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END (?:TRUSTED )?CERTIFICATE-----/g;
/** id-kp-serverAuth and anyExtendedKeyUsage (RFC 5280, section 4.2.1.12). */
const FOR_SERVERS = ['1.3.6.1.5.5.7.3.1', '2.5.29.37.0'];

/** The files, or undefined; what is wrong is among the problems of `text`. What is in a file is never shown. */
export async function readListenTls(text: ConfigText, files: ListenTlsFiles, nowMs: number): Promise<ListenTls | undefined> {
  const before = text.problems.length;
  const read = async (field: Field): Promise<Buffer | undefined> =>
    files[field] === undefined ? undefined : readPem(text, field, files[field]);
  const [cert, key, clientCa] = await Promise.all([read('cert'), read('key'), read('clientCa')]);
  const chain = cert ? readCertificates(text, 'cert', cert, nowMs) : [];
  const secret = key ? readKey(text, key) : undefined;
  for (const { ca, subject } of clientCa ? readCertificates(text, 'clientCa', clientCa, nowMs) : []) {
    if (!ca) wrong(text, 'clientCa', `certificates of CAs, got that of ${oneLine(subject)}`);
  }
  const [own] = chain;
  if (own && !mayServe(own)) wrong(text, 'cert', `a certificate for servers, got one for other uses, of ${oneLine(own.subject)}`);
  if (own && secret && !own.checkPrivateKey(secret)) wrong(text, 'key', 'the key of listen.tls.cert, got that of another certificate');
  if (!cert || !key || text.problems.length > before) return undefined;
  try {
    createSecureContext({ cert, key, ...(clientCa && { ca: clientCa }) });
  } catch (error) {
    wrong(text, 'cert', `a certificate and a key that OpenSSL takes, got ${asError(error).message}`);
    return undefined;
  }
  return { cert, key, clientCa, expires: new Date(Math.min(...chain.map(({ validTo }) => Date.parse(validTo)))) };
}

async function readPem(text: ConfigText, field: Field, written: string): Promise<Buffer | undefined> {
  if (written.includes('-----BEGIN') || written.includes('\n')) {
    wrong(text, field, 'the path of a file in PEM, got what belongs into that file');
    return undefined;
  }
  const path = resolve(dirname(text.file), written);
  try {
    const info = await stat(path);
    if (!info.isFile()) throw new Error('it is no file');
    if (info.size > FILE_BYTES_MAX) throw new Error(`it has more than ${FILE_BYTES_MAX} bytes`);
    return await readFile(path);
  } catch (error) {
    wrong(text, field, `a readable file in PEM, ${path} is not: ${asError(error).message}`);
    return undefined;
  }
}

/** All certificates of a file; none, with a problem, where one of them is no good. */
function readCertificates(text: ConfigText, field: Field, bytes: Buffer, nowMs: number): X509Certificate[] {
  const blocks = bytes.toString('latin1').match(CERTIFICATE) ?? [];
  if (blocks.length === 0) {
    const got = bytes.includes('PRIVATE KEY-----') ? 'a private key' : 'something else';
    wrong(text, field, `a certificate in PEM, got ${got}`);
  }
  const certificates: X509Certificate[] = [];
  for (const block of blocks) {
    try {
      certificates.push(new X509Certificate(block));
    } catch (error) {
      wrong(text, field, `a certificate in PEM, got one that cannot be read: ${asError(error).message}`);
    }
  }
  return certificates.filter((certificate) => isValid(text, field, certificate, nowMs));
}

function isValid(text: ConfigText, field: Field, { subject, validFrom, validTo }: X509Certificate, nowMs: number): boolean {
  const [from, to] = [new Date(validFrom), new Date(validTo)];
  if (to.getTime() <= nowMs) wrong(text, field, `a valid certificate, that of ${oneLine(subject)} expired at ${to.toISOString()}`);
  else if (from.getTime() > nowMs) {
    const here = `here it is ${new Date(nowMs).toISOString()}`;
    wrong(text, field, `a valid certificate, that of ${oneLine(subject)} is valid from ${from.toISOString()} on, and ${here}`);
  } else return true;
  return false;
}

function readKey(text: ConfigText, pem: Buffer): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    const got = pem.includes('ENCRYPTED') ? 'one with a passphrase' : pem.includes('CERTIFICATE') ? 'a certificate' : 'something else';
    wrong(text, 'key', `a private key in PEM without a passphrase, got ${got}`);
    return undefined;
  }
}

/** Without the extension a certificate is for everything. */
function mayServe({ keyUsage }: X509Certificate): boolean {
  // The types know no certificate without extended key usage.
  const uses = keyUsage as readonly string[] | undefined;
  return uses === undefined || uses.length === 0 || FOR_SERVERS.some((use) => uses.includes(use));
}

function wrong(text: ConfigText, field: Field, expected: string): void {
  const path = ['listen', 'tls', field];
  text.problem(path, `${showPath(path)} must be ${expected}`);
}

/** A subject has a line for each of its parts. */
function oneLine(subject: string): string {
  return JSON.stringify(subject.replaceAll('\n', ', ').slice(0, 200));
}
