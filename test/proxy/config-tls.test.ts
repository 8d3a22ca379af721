import { chmodSync, writeFileSync } from 'node:fs';
import { createPrivateKey } from 'node:crypto';
import { join } from 'node:path';
import { assert } from 'chai';
import { issueCertificate } from '../../cli/x509.ts';
import { checkConfig, formatProblem, type Problem, type ProxyConfig } from '../../proxy/config.ts';
import { days, SiteCertificates } from '../support/site-certificates.ts';

describe('proxy config: TLS and token', () => {
  let folder: string;
  let remove: () => Promise<void>;
  let site: SiteCertificates;
  before(async () => {
    ({ folder, site, remove } = await SiteCertificates.inFolder());
    site.write('expired', site.issue({ use: 'server', commonName: 'old', names: ['localhost'], ...days(-9, -2) }));
    site.write('early', site.issue({ use: 'server', commonName: 'new', names: ['localhost'], ...days(2, 9) }));
    site.write('old-ca', issueCertificate({ use: 'ca', commonName: 'Old CA', ...days(-9, -2) }));
    writeFileSync(site.path('both.pem'), site.server.cert + site.server.key);
    writeFileSync(site.path('chain.pem'), site.server.cert + site.ca.cert);
    writeFileSync(site.path('nothing.pem'), 'nothing\n');
    writeFileSync(site.path('broken.pem'), site.server.cert.replace(/\n[A-Za-z0-9+/]{20}/, '\nAAAAAAAAAAAAAAAAAAAA'));
    const locked = createPrivateKey(site.server.key).export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'hush' });
    writeFileSync(site.path('locked.key'), locked);
    writeFileSync(site.path('short'), 'fifteen-letters');
  });
  after(async () => remove());

  async function check(text: string): Promise<{ problems: readonly Problem[]; config?: ProxyConfig }> {
    const file = join(folder, 'fondaco.yaml');
    writeFileSync(file, text);
    const checked = await checkConfig(file, { env: {}, cwd: '/' });
    return 'problems' in checked ? checked : { problems: [], config: checked.config };
  }

  const files = (keys: string): string => `listen:\n  tls: { ${keys} }\n`;
  const token = 'token: "${file:./tls/token}"';
  const good = 'cert: tls/server.crt, key: tls/server.key';

  it('reads what it needs, by paths beside the config file', async () => {
    const { problems, config } = await check(
      `${files(`${good}, clientCa: tls/ca.crt`)}  ${token}\n  grpc: 0.0.0.0:7070\n  http: "[::]:7071"`,
    );
    assert.deepEqual(problems, []);
    assert.equal(config?.listen.token, site.token);
    assert.equal(config?.listen.tls?.cert.toString(), site.server.cert);
    assert.equal(config?.listen.tls?.key.toString(), site.server.key);
    assert.equal(config?.listen.tls?.clientCa?.toString(), site.ca.cert);
    assert.approximately(config!.listen.tls!.expires.getTime(), days(0, 50).notAfter.getTime(), 60_000);
  });

  it('takes a chain, one file for both, and only one of TLS and token on this machine', async () => {
    assert.deepEqual((await check(files('cert: tls/chain.pem, key: tls/server.key'))).problems, []);
    assert.deepEqual((await check(files('cert: tls/both.pem, key: tls/both.pem'))).problems, []);
    assert.deepEqual((await check(`listen: { token: sixteen-letters-x, grpc: "unix:/run/x.sock" }`)).problems, []);
  });

  /** What is wrong, where, and what is said. */
  const bad: [text: string, line: number, column: number, message: string | RegExp][] = [
    [files(''), 2, 8, 'listen.tls.cert must be the path of a file in PEM, got nothing'],
    [files('cert: tls/server.crt'), 2, 8, 'listen.tls.key must be the path of a file in PEM, got nothing'],
    [files(`${good}, ca: x`), 2, 53, 'listen.tls.ca is unknown, expected any of cert, key, clientCa'],
    ['listen: { tls: on }', 1, 16, 'listen.tls must be a map, got "on"'],
    [
      files('cert: tls/none.crt, key: tls/server.key'),
      2,
      16,
      /^listen\.tls\.cert must be a readable file in PEM, .*\/tls\/none\.crt is not: ENOENT/,
    ],
    [files('cert: tls, key: tls/server.key'), 2, 16, /^listen\.tls\.cert must be a readable file in PEM, .*\/tls is not: it is no file$/],
    [
      files('cert: tls/server.crt, key: tls/none.key'),
      2,
      37,
      /^listen\.tls\.key must be a readable file in PEM, .*none\.key is not: ENOENT/,
    ],
    [files('cert: tls/nothing.pem, key: tls/server.key'), 2, 16, 'listen.tls.cert must be a certificate in PEM, got something else'],
    [files('cert: tls/server.key, key: tls/server.key'), 2, 16, 'listen.tls.cert must be a certificate in PEM, got a private key'],
    [
      files('cert: tls/broken.pem, key: tls/server.key'),
      2,
      16,
      'listen.tls.cert must be a certificate in PEM, got one that cannot be read',
    ],
    [
      files('cert: tls/expired.crt, key: tls/expired.key'),
      2,
      16,
      /^listen\.tls\.cert must be a valid certificate, that of "CN=old" expired at 20\d\d-/,
    ],
    [
      files('cert: tls/early.crt, key: tls/early.key'),
      2,
      16,
      /^listen\.tls\.cert must be a valid certificate, that of "CN=new" is valid from 20\d\d-.* on, and here it is 20/,
    ],
    [
      files('cert: tls/agent.crt, key: tls/agent.key'),
      2,
      16,
      'listen.tls.cert must be a certificate for servers, got one for other uses, of "CN=agent"',
    ],
    [
      files('cert: tls/server.crt, key: tls/agent.key'),
      2,
      37,
      'listen.tls.key must be the key of listen.tls.cert, got that of another certificate',
    ],
    [
      files('cert: tls/server.crt, key: tls/server.crt'),
      2,
      37,
      'listen.tls.key must be a private key in PEM without a passphrase, got a certificate',
    ],
    [
      files('cert: tls/server.crt, key: tls/locked.key'),
      2,
      37,
      'listen.tls.key must be a private key in PEM without a passphrase, got one with a passphrase',
    ],
    [
      files('cert: tls/server.crt, key: tls/nothing.pem'),
      2,
      37,
      'listen.tls.key must be a private key in PEM without a passphrase, got something else',
    ],
    [
      files('cert: tls/server.crt, key: "${file:tls/server.key}"'),
      2,
      37,
      'listen.tls.key must be the path of a file in PEM, got what belongs into that file',
    ],
    [files(`${good}, clientCa: tls/agent.crt`), 2, 63, 'listen.tls.clientCa must be certificates of CAs, got that of "CN=agent"'],
    [files(`${good}, clientCa: tls/old-ca.crt`), 2, 63, 'listen.tls.clientCa must be a valid certificate, that of "CN=Old CA" expired at'],
    [
      'listen: { token: fifteen-letters }',
      1,
      18,
      'listen.token must be 16 to 512 of A-Z, a-z, 0-9, - . _ ~ + / and = at its end, got a value that is not shown',
    ],
    ['listen: { token: "sixteen letters and" }', 1, 18, 'listen.token must be 16 to 512 of'],
    ['listen: { token: 1234567890123456 }', 1, 18, 'listen.token must be 16 to 512 of'],
    [
      'listen:\n  token: ${file:tls/short}',
      2,
      10,
      'listen.token must be 16 to 512 of A-Z, a-z, 0-9, - . _ ~ + / and = at its end, got what "${file:tls/short}" gives',
    ],
    ['listen:\n  token: ${file:tls/none}', 2, 10, 'listen.token: ${file:tls/none} must be a readable file in UTF-8, ENOENT'],
    [
      `${files(good)}  grpc: 0.0.0.0:7070`,
      3,
      9,
      'listen.grpc must be on loopback or a unix socket without listen.token, got "0.0.0.0:7070"',
    ],
    [
      'listen: { http: "10.0.0.7:7071", token: sixteen-letters-x }',
      1,
      17,
      'listen.http must be on loopback or a unix socket without listen.tls, got "10.0.0.7:7071"',
    ],
    ['listen: { http: "10.0.0.7:7071" }', 1, 17, /`fondaco tls init` makes certificates and a token .* `insecure: true`/],
  ];
  for (const [text, line, column, message] of bad) {
    it(`refuses ${JSON.stringify(text)}`, async () => {
      const { problems } = await check(text);
      const found = problems.find((problem) =>
        typeof message === 'string' ? problem.message.startsWith(message) : message.test(problem.message),
      );
      assert.isDefined(found, `got: ${problems.map(formatProblem).join('; ')}`);
      assert.deepEqual([found?.line, found?.column], [line, column]);
      assert.isFalse(
        problems.some(({ message: said }) => said.includes('fifteen-letters') || said.includes('BEGIN')),
        'a secret was shown',
      );
    });
  }

  it('names a file that may not be read', async function () {
    if (process.getuid?.() === 0) return this.skip(); // root may read everything
    chmodSync(site.path('old-ca.key'), 0);
    const { problems } = await check(files('cert: tls/old-ca.crt, key: tls/old-ca.key'));
    assert.isTrue(problems.some((problem) => problem.message.includes('EACCES')));
  });

  it('judges certificates by the time of the check', async () => {
    const file = join(folder, 'fondaco.yaml');
    writeFileSync(file, files(good));
    const checked = await checkConfig(file, { env: {}, cwd: '/', nowMs: days(0, 51).notAfter.getTime() });
    assert.isTrue('problems' in checked && checked.problems[0]?.message.includes('expired'));
  });
});
