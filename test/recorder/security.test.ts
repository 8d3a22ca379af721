import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from 'chai';
import { asError } from '../../core/errors.ts';
import { checkOptions } from '../../recorder/options.ts';
import { SiteCertificates } from '../support/site-certificates.ts';

describe('recorder/security', () => {
  let folder: string;
  let remove: () => Promise<void>;
  let site: SiteCertificates;
  before(async () => {
    ({ folder, site, remove } = await SiteCertificates.inFolder());
    writeFileSync(join(folder, 'nothing'), 'nothing');
  });
  after(async () => remove());

  const far = 'proxy.example:7070';
  const check = (options: object, env: NodeJS.ProcessEnv = {}) =>
    checkOptions({ component: 'cmd', spool: false, ...options }, { HOME: folder, ...env }).security;
  const files = (): Record<'ca' | 'cert' | 'key', string> => ({
    ca: site.path('ca.crt'),
    cert: site.path('agent.crt'),
    key: site.path('agent.key'),
  });

  it('takes files by path and by content, and what the environment names', () => {
    const { ca, cert, key } = files();
    assert.isUndefined(check({}).tls);
    assert.isUndefined(check({}, { FONDACO_CA: '', FONDACO_TOKEN: '', FONDACO_TOKEN_FILE: '' }).tls);
    assert.isDefined(check({ tls: true }).tls);
    assert.deepInclude(check({ tls: { ca, serverName: 'proxy' } }), { hasCertificate: false, serverName: 'proxy' });
    assert.isTrue(check({ tls: { ca: Buffer.from(site.ca.cert), cert, key } }).hasCertificate);
    assert.isTrue(check({}, { FONDACO_CA: ca, FONDACO_CERT: cert, FONDACO_KEY: key }).hasCertificate);
    assert.isUndefined(check({ tls: false }, { FONDACO_CA: ca }).tls);
  });

  it('finds the token: option, FONDACO_TOKEN, FONDACO_TOKEN_FILE', () => {
    const env = { FONDACO_TOKEN: 'of-the-environment', FONDACO_TOKEN_FILE: site.path('token') };
    assert.equal(check({ token: 'of-the-option' }, env).token, 'of-the-option');
    assert.equal(check({}, env).token, 'of-the-environment');
    assert.equal(check({}, { ...env, FONDACO_TOKEN: '' }).token, site.token);
  });

  it('sends a token without TLS to nobody but this machine', () => {
    const token = 'a-secret-of-the-proxy';
    for (const proxy of ['127.0.0.1:1', 'localhost:1', '[::1]:1', 'unix:/run/x.sock']) assert.equal(check({ proxy, token }).token, token);
    for (const proxy of [far, '10.0.0.1:1', '[::2]:1', 'localhost.example:1', '127.0.0.1.example:1']) {
      assert.throws(
        () => check({ proxy: ['127.0.0.1:1', proxy], token }),
        /\[CONFIG\] tls must be set where a token goes to another machine/,
      );
      assert.equal(check({ proxy, token, tls: { ca: site.path('ca.crt') } }).token, token);
    }
  });

  const wrong: [options: () => object, says: RegExp][] = [
    [() => ({ tls: 'yes' }), /^\[CONFIG\] tls must be true, false or an object with any of ca, cert, key, serverName, got string$/],
    [() => ({ tls: ['x'] }), /tls must be true, false or an object/],
    [() => ({ tls: { cafile: 'x' } }), /tls must be an object with any of ca, cert, key, serverName, got "cafile"/],
    [() => ({ tls: { serverName: '' } }), /tls\.serverName must be a host name, got ""/],
    [() => ({ tls: { ca: join(folder, 'none') } }), /tls\.ca must be a readable file, got ENOENT/],
    [() => ({ tls: { ca: folder } }), /tls\.ca must be a readable file, got EISDIR/],
    [() => ({ tls: { ca: 7 } }), /tls\.ca must be a path, or a Buffer of PEM, got number/],
    [() => ({ tls: { ca: site.ca.cert } }), /tls\.ca must be a path, or a Buffer of PEM, got another text$/],
    [() => ({ tls: { ca: join(folder, 'nothing') } }), /tls\.ca must be a certificate in PEM, got /],
    [() => ({ tls: { cert: files().cert } }), /tls\.cert and tls\.key must both be set or neither, got a certificate/],
    [() => ({ tls: { cert: files().cert, key: files().cert } }), /tls\.key must be a private key in PEM without a passphrase/],
    [() => ({ tls: { cert: files().key, key: files().key } }), /tls\.cert must be a certificate in PEM/],
    [() => ({ tls: { cert: files().cert, key: site.path('server.key') } }), /tls\.key must be the key of tls\.cert/],
    [() => ({ token: '' }), /token must be 1 to 512 ASCII characters without spaces, got something else$/],
    [() => ({ token: 'two words' }), /token must be 1 to 512 ASCII characters without spaces, got something else$/],
    [() => ({ token: 7 }), /token must be/],
    [() => ({ token: 'x'.repeat(513) }), /token must be/],
  ];
  for (const [options, says] of wrong) {
    it(`refuses what ${says.source.slice(0, 60)} says`, () => {
      try {
        check(options());
      } catch (error) {
        assert.match(asError(error).message, says);
        assert.notInclude(asError(error).message, 'BEGIN');
        return;
      }
      assert.fail('it was taken');
    });
  }
});
