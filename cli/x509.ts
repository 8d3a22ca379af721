/**
 * Certificates for one site: a CA, and what it issues. Node reads X.509 but does not write it, so here is the part of RFC 5280 that this
 * takes, in DER (ITU-T X.690): version 3, ECDSA P-256 with SHA-256 (RFC 5758), serial numbers of 16 random bytes.
 *
 *   Certificate ::= SEQUENCE { tbs, AlgorithmIdentifier, signature BIT STRING }
 *   tbs         ::= SEQUENCE { [0] version, serial, AlgorithmIdentifier, issuer Name, Validity, subject Name, SubjectPublicKeyInfo, [3] Extensions }
 */
import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject, type X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';

/** What a certificate may be used for. */
export type CertificateUse = 'ca' | 'server' | 'agent';

export interface CertificateFacts {
  readonly use: CertificateUse;
  /** 1 to 64 characters. */
  readonly commonName: string;
  /** Hosts and IP addresses, for a server. */
  readonly names?: readonly string[];
  /** Whole seconds count. */
  readonly notBefore: Date;
  readonly notAfter: Date;
}

export interface Issuer {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
}

/** PEM. */
export interface Issued {
  readonly cert: string;
  /** PKCS #8. */
  readonly key: string;
}

/** Makes a key and its certificate, signed by `issuer`, whose key must be one of P-256; without an issuer by itself. */
export function issueCertificate(facts: CertificateFacts, issuer?: Issuer): Issued {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const subject = nameOf(facts.commonName);
  const algorithm = sequence(oid('1.2.840.10045.4.3.2')); // ecdsa-with-SHA256
  const tbs = sequence(
    tagged(0, integer(Buffer.from([2]))),
    integer(randomBytes(16)),
    algorithm,
    issuer ? subjectOf(issuer.certificate.raw) : subject,
    sequence(time(facts.notBefore), time(facts.notAfter)),
    subject,
    spki,
    tagged(3, sequence(...extensions(facts, keyId(spki), issuer))),
  );
  const signature = sign('sha256', tbs, issuer?.key ?? privateKey);
  return {
    cert: pem('CERTIFICATE', sequence(tbs, algorithm, bits(signature, 0))),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
}

/** RFC 5280, section 4.2. */
function extensions({ use, names = [] }: CertificateFacts, subjectKey: Buffer, issuer: Issuer | undefined): Buffer[] {
  const isCa = use === 'ca';
  const list = [
    // A CA of a site signs no further CAs: pathLenConstraint 0.
    extension('2.5.29.19', isCa ? sequence(der(0x01, Buffer.from([0xff])), integer(Buffer.from([0]))) : sequence(), true),
    // keyCertSign and cRLSign, or digitalSignature.
    extension('2.5.29.15', isCa ? bits(Buffer.from([0x06]), 1) : bits(Buffer.from([0x80]), 7), true),
    extension('2.5.29.14', der(0x04, subjectKey)),
  ];
  if (!isCa) list.push(extension('2.5.29.37', sequence(oid(use === 'server' ? '1.3.6.1.5.5.7.3.1' : '1.3.6.1.5.5.7.3.2'))));
  if (names.length > 0) list.push(extension('2.5.29.17', sequence(...names.map(generalName))));
  if (issuer) {
    const id = keyId(issuer.certificate.publicKey.export({ type: 'spki', format: 'der' }));
    // Another maker's CA may have named its key in another way: then nothing is better than something that does not match.
    if (issuer.certificate.raw.includes(id)) list.push(extension('2.5.29.35', sequence(der(0x80, id))));
  }
  return list;
}

function extension(id: string, value: Buffer, isCritical = false): Buffer {
  return sequence(oid(id), ...(isCritical ? [der(0x01, Buffer.from([0xff]))] : []), der(0x04, value));
}

/** SHA-1 of the public key's bits (RFC 5280, section 4.2.1.2): a name, no protection. In SPKI of P-256 they are the last 65 bytes. */
function keyId(spki: Buffer): Buffer {
  return createHash('sha1').update(spki.subarray(-65)).digest();
}

function nameOf(commonName: string): Buffer {
  return sequence(der(0x31, sequence(oid('2.5.4.3'), der(0x0c, Buffer.from(commonName)))));
}

function generalName(name: string): Buffer {
  if (isIP(name) === 4) return der(0x87, Buffer.from(name.split('.').map(Number)));
  return isIP(name) === 6 ? der(0x87, ipv6(name)) : der(0x82, Buffer.from(name, 'ascii'));
}

/** 16 bytes. A URL writes every form of an address in groups of hexadecimal digits. */
function ipv6(address: string): Buffer {
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const [first, last] = [groups(head), groups(tail ?? '')];
  const zeros = Array<string>(8 - first.length - last.length).fill('0');
  return Buffer.from([...first, ...zeros, ...last].map((group) => group.padStart(4, '0')).join(''), 'hex');
}

/** UTCTime until 2049, GeneralizedTime from then on (RFC 5280, section 4.1.2.5). */
function time(at: Date): Buffer {
  const digits = `${at
    .toISOString()
    .replace(/\.\d+Z$/, '')
    .replace(/[-T:]/g, '')}Z`;
  return at.getUTCFullYear() < 2050 ? der(0x17, Buffer.from(digits.slice(2))) : der(0x18, Buffer.from(digits));
}

/** The subject of a certificate, byte for byte: the issuer of what it signs. */
function subjectOf(certificate: Buffer): Buffer {
  const [tbs] = children(content(certificate));
  const fields = children(content(tbs!));
  return fields[5]!; // version, serial, algorithm, issuer, validity, subject
}

/** The elements that follow each other in `bytes`, each with its tag and length. */
function children(bytes: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const { start, end } = extent(bytes.subarray(at));
    found.push(bytes.subarray(at, at + Math.max(end, start)));
    at += Math.max(end, start);
  }
  return found;
}

function content(element: Buffer): Buffer {
  const { start, end } = extent(element);
  return element.subarray(start, end);
}

function extent(element: Buffer): { start: number; end: number } {
  const short = element[1] ?? 0;
  if (short < 0x80) return { start: 2, end: 2 + short };
  const start = 2 + (short & 0x7f);
  return { start, end: start + element.readUIntBE(2, short & 0x7f) };
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, ...parts);
}

function tagged(number: number, ...parts: readonly Buffer[]): Buffer {
  return der(0xa0 | number, ...parts);
}

/** Unsigned, in as few bytes as a signed one takes. */
function integer(bytes: Buffer): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const least = bytes.subarray(start);
  return der(0x02, ...(least[0]! >= 0x80 ? [Buffer.from([0])] : []), least);
}

function bits(bytes: Buffer, unused: number): Buffer {
  return der(0x03, Buffer.from([unused]), bytes);
}

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = rest.flatMap((number) => {
    const septets = [number & 0x7f];
    for (let more = number >>> 7; more > 0; more >>>= 7) septets.unshift(0x80 | (more & 0x7f));
    return septets;
  });
  return der(0x06, Buffer.from([first * 40 + second, ...bytes]));
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const length = body.length < 0x100 ? [0x81, body.length] : [0x82, body.length >> 8, body.length & 0xff]; // 64 KiB is plenty
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}
