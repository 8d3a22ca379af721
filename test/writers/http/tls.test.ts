import { copyFileSync, rmSync, writeFileSync } from 'node:fs';
import type { ServerOptions } from 'node:https';
import { join } from 'node:path';
import { assert } from 'chai';
import type { z } from 'zod';
import { systemClock } from '../../../core/clock.ts';
import { tlsFileProblems } from '../../../writers/tls-files.ts';
import { httpSettings } from '../../../writers/http/settings.ts';
import { HttpWriter } from '../../../writers/http/writer.ts';
import { failure } from '../../contract/writer-contract.ts';
import { Authority, missingOpenssl, pems, type Issued } from '../../support/certificates.ts';
import { deliveries, eventOf, plainLines } from '../../support/deliveries.ts';
import { Subscriber } from '../../support/subscriber.ts';
import { tempDirectory } from '../../support/temp-directory.ts';

const never = new AbortController().signal;
const batch = deliveries(plainLines(1, 5).map((line, i) => eventOf(line, i + 1)));
const missing = missingOpenssl();

(missing === undefined ? describe : describe.skip)(`http writer over TLS${missing === undefined ? '' : ` (${missing})`}`, () => {
  let folder: { path: string; remove: () => Promise<void> };
  let authority: Authority;
  let other: Authority;
  let server: Issued;
  let client: Issued;
  let subscriber: Subscriber | undefined;
  let writer: HttpWriter | undefined;

  before(async () => {
    folder = await tempDirectory();
    authority = new Authority(folder.path);
    other = new Authority(folder.path, 'other');
    server = authority.issue('server');
    client = authority.issue('client');
  });
  after(async () => folder.remove());
  afterEach(async () => {
    await writer?.close();
    await subscriber?.close();
    writer = subscriber = undefined;
  });

  const serve = async (options: ServerOptions = pems(server)): Promise<Subscriber> => (subscriber = await Subscriber.open(0, options));
  const open = async (tls: z.input<typeof httpSettings>['tls'], url = subscriber!.url): Promise<HttpWriter> =>
    (writer = await HttpWriter.open(httpSettings.parse({ url, tls }), { clock: systemClock(), directory: folder.path }));
  const wantsClient = (): ServerOptions => ({ ...pems(server), ca: pems({ cert: authority.ca, key: client.key }).cert, requestCert: true });

  it('trusts the CA of its settings, the path relative to the config', async () => {
    await serve();
    await (await open({ ca: 'ca.pem' })).write(batch, never);
    assert.lengthOf(subscriber!.taken, 1);
  });

  it('shows a server that wants one its certificate', async () => {
    await serve(wantsClient());
    await (await open({ ca: 'ca.pem', cert: client.cert, key: 'client.key' })).write(batch, never);
    assert.lengthOf(subscriber!.taken, 1);
  });

  it('takes the name that the certificate must have from its settings', async () => {
    await serve(pems(authority.issue('named', { names: 'DNS:ops.example' })));
    await (await open({ ca: 'ca.pem', serverName: 'ops.example' })).write(batch, never);
    assert.lengthOf(subscriber!.taken, 1);
  });

  describe('what does not fit is UNAVAILABLE and not reached, in words', () => {
    const rows: [what: string, words: RegExp, tls: z.input<typeof httpSettings>['tls'], options?: () => ServerOptions][] = [
      ['a CA that is not trusted', /failed: its certificate is of a CA that is not trusted here/, {}],
      ['another CA', /failed: its certificate is of a CA that is not trusted here/, { ca: 'other.pem' }],
      ['an expired certificate', /its certificate has expired/, { ca: 'ca.pem' }, () => pems(authority.issue('old', { days: -1 }))],
      [
        'a certificate for another name',
        /does not match certificate's altnames/,
        { ca: 'ca.pem' },
        () => pems(authority.issue('named', { names: 'DNS:ops.example' })),
      ],
      ['another name in the settings', /does not match certificate's altnames/, { ca: 'ca.pem', serverName: 'ops.example' }],
      [
        'a server of TLS 1.2 that wants one',
        /client certificate|handshake/,
        { ca: 'ca.pem' },
        () => ({ ...wantsClient(), maxVersion: 'TLSv1.2' }),
      ],
    ];
    for (const [what, words, tls, options] of rows) {
      it(what, async () => {
        await serve(options?.() ?? pems(server));
        const error = await failure((await open(tls)).write(batch, never));
        assert.equal(error.code, 'UNAVAILABLE');
        assert.match(error.message, words);
        assert.isTrue(error.facts.unreachable, error.message);
        assert.lengthOf(subscriber!.requests, 0);
      });
    }
  });

  it('says what a server may mean that closes the connection after the handshake (TLS 1.3)', async () => {
    await serve(wantsClient());
    const none = await failure((await open({ ca: 'ca.pem' })).write(batch, never));
    assert.equal(none.code, 'UNAVAILABLE');
    assert.match(none.message, /wants a client certificate/);
    await writer!.close();
    const wrong = await failure((await open({ ca: 'ca.pem', ...other.issue('stranger') })).write(batch, never));
    assert.match(wrong.message, /does not (accept|trust) .*our client certificate/);
    assert.lengthOf(subscriber!.requests, 0);
  });

  describe('files that cannot be used are REFUSED and named, also to who checks the config', () => {
    const rows: [what: string, tls: z.output<typeof httpSettings>['tls'] & object, words: RegExp][] = [
      ['missing', { ca: 'none.pem' }, /tls\.ca must be a readable file of certificates in PEM, .*none\.pem: ENOENT/],
      ['a directory', { ca: '.' }, /tls\.ca must be .*EISDIR/],
      ['no PEM', { ca: 'text' }, /tls\.ca must be .*text: there is no certificate in it/],
      ['broken PEM', { ca: 'broken.pem' }, /tls\.ca must be .*broken\.pem: /],
      ['a key for a certificate', { cert: 'client.key', key: 'client.key' }, /tls\.cert must be .*client\.key: there is no certificate/],
      ['a certificate for a key', { cert: 'client.pem', key: 'client.pem' }, /tls\.key must be a readable file with a private key in PEM/],
      [
        'the key of another',
        { cert: 'client.pem', key: 'server.key' },
        /tls\.key must be the key of the certificate.*client\.pem.*server\.key/,
      ],
    ];
    before(() => {
      writeFileSync(join(folder.path, 'text'), 'hello');
      writeFileSync(join(folder.path, 'broken.pem'), '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
    });
    for (const [what, tls, words] of rows) {
      it(what, async () => {
        const error = await failure(open(tls, 'https://localhost/').then(() => {}));
        assert.equal(error.code, 'REFUSED');
        assert.match(error.message, words);
        const [problem] = await tlsFileProblems(tls, folder.path);
        assert.match(`tls.${problem?.key.join('.')} ${problem?.message}`, words);
      });
    }
  });

  it('takes renewed files up with the next connection, and says when they are gone', async () => {
    await serve({ ...wantsClient() });
    const [cert, key] = ['mine.pem', 'mine.key'].map((name) => join(folder.path, name)) as [string, string];
    const expired = authority.issue('expired', { days: -1 });
    copyFileSync(expired.cert, cert);
    copyFileSync(expired.key, key);
    const renewed = await open({ ca: 'ca.pem', cert: 'mine.pem', key: 'mine.key' });
    assert.match((await failure(renewed.write(batch, never))).message, /our client certificate has expired|certificate/);
    copyFileSync(client.cert, cert);
    copyFileSync(client.key, key);
    await renewed.write(batch, never);
    rmSync(key);
    const { port } = subscriber!;
    await subscriber!.close();
    subscriber = await Subscriber.open(port, wantsClient());
    const error = await failure(renewed.write(batch, never));
    assert.equal(error.code, 'REFUSED');
    assert.match(error.message, /tls\.key must be .*mine\.key: ENOENT/);
  });
});
