/** Certificates for tests, made by openssl: an authority, and what it signs. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Files in PEM. */
export interface Issued {
  readonly cert: string;
  readonly key: string;
}

export interface IssueOptions {
  /** Names and addresses, as openssl writes them. */
  readonly names?: string;
  /** Below zero: it has expired. */
  readonly days?: number;
}

/** Why certificates cannot be made here; undefined if they can. */
export function missingOpenssl(): string | undefined {
  const { status } = spawnSync('openssl', ['version']);
  return status === 0 ? undefined : 'needs the program openssl';
}

/** An authority with its files in a folder. */
export class Authority {
  readonly ca: string;
  readonly #folder: string;
  readonly #name: string;

  constructor(folder: string, name = 'ca') {
    this.#folder = folder;
    this.#name = name;
    this.ca = join(folder, `${name}.pem`);
    openssl('req', '-x509', ...KEY, '-keyout', this.#caKey, '-out', this.ca, '-subj', `/CN=${name}`, '-days', '3');
  }

  get #caKey(): string {
    return join(this.#folder, `${this.#name}.key`);
  }

  issue(name: string, { names = 'DNS:localhost,IP:127.0.0.1', days = 2 }: IssueOptions = {}): Issued {
    const [cert, key, request, extensions] = ['pem', 'key', 'csr', 'ext'].map((ending) => join(this.#folder, `${name}.${ending}`)) as [
      string,
      string,
      string,
      string,
    ];
    openssl('req', ...KEY, '-keyout', key, '-out', request, '-subj', `/CN=${name}`);
    writeFileSync(extensions, `subjectAltName=${names}\n`);
    const signing = ['-CA', this.ca, '-CAkey', this.#caKey, '-CAcreateserial', '-days', String(days), '-extfile', extensions];
    openssl('x509', '-req', '-in', request, ...signing, '-out', cert);
    return { cert, key };
  }
}

/** The texts of the files, as servers take them. */
export function pems({ cert, key }: Issued): { cert: string; key: string } {
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
