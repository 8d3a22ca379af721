import { execFileSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type ConnectionOptions } from 'node:tls';
import { assert } from 'chai';
import { issueCertificate } from '../../cli/x509.ts';
import { asError } from '../../core/errors.ts';
import { days, SiteCertificates } from '../support/site-certificates.ts';
import { tempDirectory } from '../support/temp-directory.ts';

describe('certificates', () => {
  let folder: string;
  let remove: () => Promise<void>;
  let site: SiteCertificates;
  before(async () => {
    ({ path: folder, remove } = await tempDirectory());
    site = new SiteCertificates(folder);
  });
  after(async () => remove());

  it('say what they are for, and who issued them', () => {
    const [ca, server, agent] = [site.ca, site.server, site.agent].map(({ cert }) => new X509Certificate(cert));
    assert.isTrue(ca?.ca);
    assert.isFalse(server?.ca);
    assert.deepEqual(server?.keyUsage, ['1.3.6.1.5.5.7.3.1']);
    assert.deepEqual(agent?.keyUsage, ['1.3.6.1.5.5.7.3.2']);
    assert.equal(server.subjectAltName, 'DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1');
    for (const certificate of [ca, server, agent]) {
      assert.isTrue(certificate!.verify(ca.publicKey), certificate!.subject);
      assert.isTrue(certificate!.checkIssued(ca));
      assert.isAtLeast(certificate!.serialNumber.length, 30);
      assert.equal(certificate!.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
    }
    assert.isTrue(server.checkPrivateKey(createPrivateKey(site.server.key)));
  });

  it('never have the same serial number', () => {
    const serials = Array.from({ length: 200 }, () => new X509Certificate(site.issue({ use: 'agent', commonName: 'a' }).cert).serialNumber);
    assert.lengthOf(new Set(serials), 200);
  });

  it('keep names of every form, and times on both sides of 2050', () => {
    const names = ['a.example', '*.b.example', '10.1.2.3', '::1', 'fe80::1:2', '::ffff:1.2.3.4', '2001:db8:0:1::', '1:2:3:4:5:6:7:8', '::'];
    const notBefore = new Date('2049-12-31T23:59:58Z');
    const notAfter = new Date('2050-01-01T00:00:01Z');
    const { cert } = site.issue({ use: 'server', commonName: 'ÄÖ, "=+\\ 電', names, notBefore, notAfter });
    const { subjectAltName, subject, validFrom, validTo } = new X509Certificate(cert);
    assert.equal(
      subjectAltName,
      'DNS:a.example, DNS:*.b.example, IP Address:10.1.2.3, IP Address:0:0:0:0:0:0:0:1, IP Address:FE80:0:0:0:0:0:1:2, ' +
        'IP Address:0:0:0:0:0:FFFF:102:304, IP Address:2001:DB8:0:1:0:0:0:0, IP Address:1:2:3:4:5:6:7:8, IP Address:0:0:0:0:0:0:0:0',
    );
    assert.include(subject, 'ÄÖ');
    assert.deepEqual([Date.parse(validFrom), Date.parse(validTo)], [notBefore.getTime(), notAfter.getTime()]);
  });

  it('may be longer than a byte of length can say, and those of other CAs issue too', () => {
    const names = Array.from({ length: 300 }, (_, i) => `host-${i}.plant-7.example`);
    const certificate = new X509Certificate(site.issue({ use: 'server', commonName: 'x', names }).cert);
    assert.isUndefined(certificate.checkHost('host-300.plant-7.example'));
    assert.equal(certificate.checkHost('host-299.plant-7.example'), 'host-299.plant-7.example');
  });

  it('satisfy openssl verify, strictly', function () {
    const openssl = (...args: string[]): string =>
      execFileSync('openssl', args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    try {
      openssl('version');
    } catch {
      return this.skip();
    }
    const verify = (purpose: string, file: string): string =>
      openssl('verify', '-x509_strict', '-CAfile', 'ca.crt', '-purpose', purpose, file);
    assert.equal(verify('sslserver', 'server.crt'), 'server.crt: OK\n');
    assert.equal(verify('sslclient', 'agent.crt'), 'agent.crt: OK\n');
    assert.throws(() => verify('sslserver', 'agent.crt'), /unsuitable certificate purpose/);
    const shown = openssl('x509', '-in', 'ca.crt', '-noout', '-text');
    for (const text of ['CA:TRUE, pathlen:0', 'X509v3 Basic Constraints: critical', 'Key Usage: critical', 'ecdsa-with-SHA256'])
      assert.include(shown, text);
    // A CA of another maker, with other encodings of its name.
    openssl(
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      'o.key',
      '-out',
      'o.crt',
      '-subj',
      '/C=IT/O=Dogana/CN=Other',
      '-days',
      '9',
    );
    const issuer = {
      certificate: new X509Certificate(openssl('x509', '-in', 'o.crt')),
      key: createPrivateKey(openssl('pkey', '-in', 'o.key')),
    };
    site.write('of-other', issueCertificate({ use: 'server', commonName: 'p', names: ['p'], ...days(0, 1) }, issuer));
    assert.equal(openssl('verify', '-CAfile', 'o.crt', '-purpose', 'sslserver', 'of-other.crt'), 'of-other.crt: OK\n');
    return undefined;
  });

  it('shake hands, both ways, and only with their own', async () => {
    const { ca, server, agent } = site;
    const listening = createServer({ cert: server.cert, key: server.key, ca: ca.cert, requestCert: true }, (socket) => socket.end('hello'));
    listening.listen(0, '127.0.0.1');
    await once(listening, 'listening');
    const { port } = listening.address() as AddressInfo;
    const hear = async (options: ConnectionOptions): Promise<string> =>
      new Promise((resolve) => {
        const socket = connect({ port, host: '127.0.0.1', ...options });
        let text = '';
        socket.setEncoding('utf8').on('data', (more: string) => (text += more));
        socket.once('error', (error) => resolve(`failed: ${asError(error).message}`)).once('close', () => resolve(text));
      });
    const own = { cert: agent.cert, key: agent.key };
    assert.equal(await hear({ ca: ca.cert, ...own }), 'hello');
    assert.equal(await hear({ ca: ca.cert, ...own, servername: 'localhost' }), 'hello');
    assert.match(await hear({ ca: ca.cert, ...own, servername: 'elsewhere' }), /^failed: .*altnames/);
    assert.match(await hear({ ...own }), /^failed: .*(certificate|verify)/);
    assert.notEqual(await hear({ ca: ca.cert }), 'hello');
    assert.notEqual(await hear({ ca: ca.cert, cert: server.cert, key: server.key }), 'hello', 'a server is no agent');
    listening.close();
  });
});
