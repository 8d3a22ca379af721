import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { issueCertificate, type CertificateFacts, type Issued, type Issuer } from '../../cli/x509.ts';
import { tempDirectory } from './temp-directory.ts';

const DAY_MS = 24 * 3600 * 1000;

/** A site's CA with what it issued, in files, and things that are wrong with such files. */
export class SiteCertificates {
  readonly folder: string;
  readonly token = randomBytes(24).toString('base64url');
  readonly ca: Issued;
  readonly server: Issued;
  readonly agent: Issued;

  /** In `tls` of a folder of its own, which `remove` takes away. */
  static async inFolder(): Promise<{ readonly folder: string; readonly site: SiteCertificates; readonly remove: () => Promise<void> }> {
    const { path, remove } = await tempDirectory();
    mkdirSync(join(path, 'tls'));
    return { folder: path, site: new SiteCertificates(join(path, 'tls')), remove };
  }

  /** Writes `ca`, `server`, `agent`, each as `.crt` and `.key`, and `token`. */
  constructor(folder: string) {
    this.folder = folder;
    this.ca = issueCertificate({ use: 'ca', commonName: 'Site CA', ...days(-1, 100) });
    this.server = this.issue({ use: 'server', commonName: 'proxy', names: ['localhost', '127.0.0.1', '::1'] });
    this.agent = this.issue({ use: 'agent', commonName: 'agent' });
    for (const name of ['ca', 'server', 'agent'] as const) this.write(name, this[name]);
    writeFileSync(this.path('token'), `${this.token}\n`);
  }

  /** Signed by this site's CA, valid for 50 days if nothing else is said. */
  issue(facts: Omit<CertificateFacts, 'notBefore' | 'notAfter'> & Partial<CertificateFacts>): Issued {
    return issueCertificate({ ...days(-1, 50), ...facts }, this.issuer);
  }

  get issuer(): Issuer {
    return { certificate: new X509Certificate(this.ca.cert), key: createPrivateKey(this.ca.key) };
  }

  /** Writes `<name>.crt` and `<name>.key`. */
  write(name: string, { cert, key }: Issued): void {
    writeFileSync(this.path(`${name}.crt`), cert);
    writeFileSync(this.path(`${name}.key`), key, { mode: 0o600 });
  }

  path(file: string): string {
    return join(this.folder, file);
  }
}

/** From and until when, in days from now. */
export function days(from: number, to: number): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(Date.now() + from * DAY_MS), notAfter: new Date(Date.now() + to * DAY_MS) };
}
