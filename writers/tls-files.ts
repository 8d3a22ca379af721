/** The `tls` settings of a writer: files in PEM, read anew for each connection, so that renewed ones are taken up without a restart. */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import type { z } from 'zod';
import { asError, FondacoError } from '../core/errors.ts';
import { filePath, section, text, type SettingProblem } from './settings.ts';

export const tlsSettings = section({
  /** Certificates to trust, instead of those that Node brings along. */
  ca: filePath('a file of certificates in PEM').optional(),
  /** Our certificate, with its chain, and its key: for a server that wants to know who comes. */
  cert: filePath('a file with a certificate in PEM').optional(),
  key: filePath('a file with a private key in PEM').optional(),
  /** The name that the server's certificate must have, where it is not the host of the address. */
  serverName: text('a host name', (value) => /^[A-Za-z0-9_.-]{1,253}$/.test(value)).optional(),
});

export type TlsSettings = z.output<typeof tlsSettings>;

/** What a connection is made with, as `tls.connect` takes it. */
export interface TlsOptions {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
}

type FileKey = 'ca' | 'cert' | 'key';

/** What is wrong with the settings themselves; no file is looked at. */
export function tlsProblems({ cert, key }: TlsSettings): SettingProblem[] {
  if (cert !== undefined && key === undefined) return [{ key: ['cert'], message: 'must have its key beside it, in tls.key' }];
  if (key !== undefined && cert === undefined) return [{ key: ['key'], message: 'must have its certificate beside it, in tls.cert' }];
  return [];
}

/** What is wrong with the files: that of the first key that cannot be used. */
export async function tlsFileProblems(settings: TlsSettings, directory: string): Promise<SettingProblem[]> {
  const loaded = await load(settings, directory);
  return 'problem' in loaded ? [loaded.problem] : [];
}

/** Reads the files below `directory`. Rejects REFUSED, naming the file, where one is missing or no PEM, or where certificate and key differ. */
export async function loadTls(settings: TlsSettings, directory: string): Promise<TlsOptions> {
  const loaded = await load(settings, directory);
  if ('options' in loaded) return loaded.options;
  const { key, message } = loaded.problem;
  throw new FondacoError('REFUSED', `tls.${key.join('.')} ${message}`);
}

async function load(settings: TlsSettings, directory: string): Promise<{ options: TlsOptions } | { problem: SettingProblem }> {
  const options: { -readonly [K in keyof TlsOptions]: TlsOptions[K] } = {};
  if (settings.serverName !== undefined) options.servername = settings.serverName;
  for (const key of ['ca', 'cert', 'key'] as const) {
    const path = settings[key];
    if (path === undefined) continue;
    const file = resolve(directory, path);
    try {
      options[key] = await readFile(file, 'utf8');
      CHECKS[key](options[key]);
    } catch (error) {
      return { problem: { key: [key], message: `must be ${WHAT[key]}, ${file}: ${asError(error).message}` } };
    }
  }
  const problem = pairProblem(settings, options, directory);
  return problem ? { problem } : { options };
}

/** A key of one certificate beside another one: found when both are used together. */
function pairProblem(settings: TlsSettings, { cert, key }: TlsOptions, directory: string): SettingProblem | undefined {
  if (cert === undefined || key === undefined) return undefined;
  try {
    createSecureContext({ cert, key });
    return undefined;
  } catch (error) {
    const files = `${resolve(directory, settings.cert ?? '')} and ${resolve(directory, settings.key ?? '')}`;
    return { key: ['key'], message: `must be the key of the certificate in tls.cert, ${files}: ${asError(error).message}` };
  }
}

const WHAT: Readonly<Record<FileKey, string>> = {
  ca: 'a readable file of certificates in PEM',
  cert: 'a readable file with a certificate in PEM',
  key: 'a readable file with a private key in PEM, without a passphrase',
};

const CHECKS: Readonly<Record<FileKey, (pem: string) => void>> = {
  ca: checkCertificates,
  cert: checkCertificates,
  key: (key) => void createSecureContext({ key }),
};

/** Node takes a `ca` without any certificate, and then trusts nobody. */
function checkCertificates(pem: string): void {
  const blocks = pem.match(/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]*-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new Error('there is no certificate in it');
  for (const block of blocks) new X509Certificate(block);
}
