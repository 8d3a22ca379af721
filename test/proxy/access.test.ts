import { writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Client, credentials, Metadata, status, type ServiceError } from '@grpc/grpc-js';
import { assert } from 'chai';
import pino from 'pino';
import { askProxy, type Api } from '../../cli/api.ts';
import { systemClock } from '../../core/clock.ts';
import { asError } from '../../core/errors.ts';
import { formatAddress } from '../../proxy/address.ts';
import { loadConfig } from '../../proxy/config.ts';
import { runProxy, type Bound } from '../../proxy/proxy.ts';
import { Recorder, type FondacoError, type RecorderOptions } from '../../recorder/index.ts';
import { days, SiteCertificates } from '../support/site-certificates.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { until } from '../support/until.ts';

describe('access to a proxy', function () {
  this.timeout(20_000);
  let folder: string;
  let remove: () => Promise<void>;
  let site: SiteCertificates;
  let other: SiteCertificates;
  let stop: AbortController;
  let running: Promise<void>;
  let log: string;

  before(async () => {
    ({ path: folder, remove } = await tempDirectory());
    site = new SiteCertificates(folder);
    site.write('old-agent', site.issue({ use: 'agent', commonName: 'old', ...days(-9, -2) }));
    const elsewhere = await tempDirectory();
    other = new SiteCertificates(elsewhere.path);
    await elsewhere.remove();
  });
  after(async () => remove());
  afterEach(async () => {
    stop.abort();
    await running;
    assert.notInclude(log, site.token, 'the token is in the log');
    assert.notInclude(log, 'PRIVATE KEY', 'a key is in the log');
  });

  async function start(listen: string, grpc = '127.0.0.1:0', http = '127.0.0.1:0', nowMs = Date.now()): Promise<Bound> {
    const file = join(folder, 'fondaco.yaml');
    writeFileSync(file, `site: s\ndata: ./data\nlisten:\n  grpc: ${grpc}\n  http: ${http}\n${listen}writers: []\n`);
    const config = await loadConfig(file, { env: {}, cwd: folder, nowMs });
    stop = new AbortController();
    log = '';
    const logger = pino({ level: 'debug' }, { write: (line: string) => void (log += line) });
    return new Promise((resolve, reject) => {
      const parts = { clock: systemClock(), random: Math.random, logger, version: '0.0.0', stdout: process.stderr, env: {} };
      running = runProxy(config, { ...parts, ready: resolve }, stop.signal);
      running.catch(reject);
    });
  }

  const tls = '  tls: { cert: server.crt, key: server.key }\n';
  const mutual = '  tls: { cert: server.crt, key: server.key, clientCa: ca.crt }\n';
  const token = '  token: ${file:token}\n';

  /** What became of one event: how many the proxy settled, and the first problem that was reported. */
  async function tryToRecord(
    bound: Bound,
    options: Partial<RecorderOptions>,
    wait = 'settled or told',
  ): Promise<{ settled: number; told?: FondacoError }> {
    const told: FondacoError[] = [];
    const proxy = formatAddress(bound.grpc);
    const recorder = await Recorder.open(
      { component: 'c', proxy, spool: false, onError: (error) => told.push(error), ...options },
      { env: {} },
    );
    recorder.event('test.Tick', 'info', 'tick');
    await until(wait, () => told.length > 0 || recorder.status().ledger.settled > 0, 10_000);
    const { settled, queued } = recorder.status().ledger;
    assert.equal(settled + queued, 1, 'the event is kept');
    await recorder.close().catch(() => undefined);
    return { settled, ...(told[0] && { told: told[0] }) };
  }

  const ask = async (bound: Bound, api: Partial<Api> = {}): Promise<unknown> =>
    askProxy(
      { url: `https://${formatAddress(bound.http)}`, tls: { ca: Buffer.from(site.ca.cert) }, token: site.token, ...api },
      '/v1/status',
    ).then(
      () => 'answered',
      (error: unknown) => asError(error).message,
    );

  async function assertGood(bound: Bound, isMutual = false): Promise<void> {
    const own = isMutual ? { cert: site.path('agent.crt'), key: site.path('agent.key') } : {};
    assert.deepEqual(await tryToRecord(bound, { tls: { ca: site.path('ca.crt'), ...own }, token: site.token }), { settled: 1 });
    const client = isMutual ? { cert: Buffer.from(site.agent.cert), key: Buffer.from(site.agent.key) } : {};
    assert.equal(await ask(bound, { tls: { ca: Buffer.from(site.ca.cert), ...client } }), 'answered');
  }

  describe('with TLS and a token', () => {
    let bound: Bound;
    beforeEach(async () => {
      bound = await start(tls + token);
    });
    afterEach(async () => assertGood(bound));

    const refused: [what: string, options: () => Partial<RecorderOptions>, code: string, says: RegExp][] = [
      [
        'no token',
        () => ({ tls: { ca: site.path('ca.crt') } }),
        'REFUSED',
        /proxy 127\.0\.0\.1:\d+: it does not let us in: a token is wanted, .* got none$/,
      ],
      [
        'a wrong token',
        () => ({ tls: { ca: site.path('ca.crt') }, token: `${site.token}x` }),
        'REFUSED',
        /the token is not that of this proxy$/,
      ],
      ['another CA', () => ({ tls: { ca: Buffer.from(other.ca.cert) }, token: site.token }), 'UNAVAILABLE', /certificate/],
      ['no CA', () => ({ tls: true, token: site.token }), 'UNAVAILABLE', /not trusted$/],
      [
        'another name',
        () => ({ tls: { ca: site.path('ca.crt'), serverName: 'other.example' }, token: site.token }),
        'UNAVAILABLE',
        /Host: other\.example\. is not in the cert's altnames/,
      ],
      ['no TLS', () => ({ token: site.token }), 'UNAVAILABLE', /wants TLS/],
    ];
    for (const [what, options, code, says] of refused) {
      it(`tells a recorder with ${what}, and keeps its events`, async () => {
        const { settled, told } = await tryToRecord(bound, options());
        assert.equal(settled, 0);
        assert.equal(told?.code, code);
        assert.match(told?.message ?? '', says);
        assert.notInclude(told?.message, site.token);
      });
    }

    it('knows its name by host, by address, and by what the recorder says', async () => {
      const { port } = bound.grpc as { port: number };
      const good = { ca: site.path('ca.crt') };
      for (const options of [
        { proxy: `localhost:${port}`, tls: good },
        { proxy: `127.0.0.1:${port}`, tls: { ...good, serverName: 'localhost' } },
        { proxy: `127.0.0.1:${port}`, tls: { ca: Buffer.from(site.ca.cert) } },
      ]) {
        assert.deepEqual(await tryToRecord(bound, { ...options, token: site.token }), { settled: 1 });
      }
    });

    it('covers every method but those of health', async () => {
      const call = async (path: string, authorization?: string): Promise<status> => {
        const client = new Client(`localhost:${(bound.grpc as { port: number }).port}`, credentials.createSsl(Buffer.from(site.ca.cert)));
        const metadata = new Metadata();
        if (authorization !== undefined) metadata.set('authorization', authorization);
        const asItIs = (bytes: Buffer): Buffer => bytes;
        try {
          return await new Promise((resolve) => {
            const done = (error: ServiceError | null): void => resolve(error?.code ?? status.OK);
            if (/Info$|Record$/.test(path)) {
              const stream = client.makeBidiStreamRequest(path, asItIs, asItIs, metadata);
              stream
                .on('data', () => undefined)
                .on('error', done)
                .on('end', () => resolve(status.OK));
              stream.end();
            } else client.makeUnaryRequest(path, asItIs, asItIs, Buffer.alloc(0), metadata, done);
          });
        } finally {
          client.close();
        }
      };
      const [record, one] = ['/fondaco.v1.EventService/Record', '/fondaco.v1.EventService/RecordBatch'];
      const reflection = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
      for (const path of [record, one, reflection, reflection.replace('v1', 'v1alpha')]) {
        assert.equal(await call(path), status.UNAUTHENTICATED, path);
        assert.equal(await call(path, 'Basic Zm9uZGFjbw=='), status.UNAUTHENTICATED, path);
        assert.equal(await call(path, `Bearer ${site.token.slice(0, -1)}`), status.UNAUTHENTICATED, path);
        assert.notEqual(await call(path, `bearer ${site.token}`), status.UNAUTHENTICATED, path);
      }
      assert.equal(await call('/grpc.health.v1.Health/Check'), status.OK);
    });

    it('answers 401 over HTTP, but for health', async () => {
      const get = async (
        path: string,
        headers: Record<string, string> = {},
        method = 'GET',
      ): Promise<[number | undefined, string | undefined]> =>
        new Promise((resolve, reject) => {
          request(`https://${formatAddress(bound.http)}${path}`, { ca: site.ca.cert, headers, method, agent: false }, (answer) => {
            answer.resume();
            resolve([answer.statusCode, answer.headers['www-authenticate']]);
          })
            .once('error', reject)
            .end();
        });
      assert.deepEqual(await get('/healthz'), [200, undefined]);
      assert.deepEqual(await get('/readyz?x=1'), [200, undefined]);
      for (const path of [
        '/v1/status',
        '/v1/ledger',
        '/v1/nothing',
        '/',
        '/healthz/',
        '//healthz',
        '/healthz/../v1/status',
        '/v1/status?/healthz',
      ]) {
        assert.deepEqual(await get(path), [401, 'Bearer'], path);
      }
      assert.deepEqual(await get('/v1/writers/ops/resume', {}, 'POST'), [401, 'Bearer']);
      assert.deepEqual(await get('/v1/status', { authorization: 'Bearer ' }), [401, 'Bearer']);
      assert.deepEqual(await get('/v1/status', { authorization: `Bearer ${site.token}, x` }), [401, 'Bearer']);
      assert.deepEqual(await get('/v1/status', { authorization: `Bearer ${site.token}` }), [200, undefined]);
      await until('it is logged once', () => log.split('calls without the token of this proxy were refused').length === 2);
    });

    it('tells who asks over HTTP what is missing', async () => {
      assert.match(String(await ask(bound, { token: undefined })), /wants its token, and none was given\n--token-file FILE/);
      assert.match(String(await ask(bound, { token: `${site.token}x` })), /wants its token, and the one that was given is not it/);
      assert.match(
        String(await ask(bound, { tls: {} })),
        /certificate of the proxy at .* is not trusted: .*\n--ca FILE or FONDACO_CA names/,
      );
      assert.match(String(await ask(bound, { tls: { ca: Buffer.from(other.ca.cert) } })), /is not trusted: .*\nIs --ca/);
      assert.match(String(await ask(bound, { url: `http://${formatAddress(bound.http)}` })), /connection was closed\nIs it https:\/\//);
    });

    it('outlives those who speak something else, or nothing', async () => {
      const sockets = [bound.grpc, bound.http].flatMap((address) =>
        ['', 'GET / HTTP/1.1\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', '\x16\x03\x01\xff\xffgarbage'].map((text) => {
          const socket = connect(address as { host: string; port: number }, () => void socket.write(text));
          return socket.on('error', () => undefined);
        }),
      );
      await until('all are connected', () => sockets.every((socket) => !socket.connecting));
      await assertGood(bound);
      for (const socket of sockets) socket.destroy();
    });
  });

  it('warns of a certificate that is about to expire, and those who ask hear when it has', async () => {
    const late = site.issue({ use: 'server', commonName: 'p', names: ['127.0.0.1'], ...days(-9, -1) });
    site.write('late', late);
    const listen = `  tls: { cert: late.crt, key: late.key }\n${token}`;
    const bound = await start(listen, '127.0.0.1:0', '127.0.0.1:0', days(0, -2).notAfter.getTime());
    assert.include(log, 'the certificate of listen.tls expires soon');
    const { settled, told } = await tryToRecord(bound, { tls: { ca: site.path('ca.crt') }, token: site.token });
    assert.equal(settled, 0);
    assert.match(told?.message ?? '', /certificate has expired/);
    assert.match(String(await ask(bound)), /is not trusted: certificate has expired/);
  });

  describe('with client certificates', () => {
    let bound: Bound;
    beforeEach(async () => {
      bound = await start(mutual + token);
    });
    afterEach(async () => assertGood(bound, true));

    const refused: [what: string, own: () => object, logged: RegExp][] = [
      ['none', () => ({}), /peer did not return a certificate/],
      ['one of another CA', () => ({ cert: Buffer.from(other.agent.cert), key: Buffer.from(other.agent.key) }), /SELF_SIGNED|UNABLE/],
      ['one that has expired', () => ({ cert: site.path('old-agent.crt'), key: site.path('old-agent.key') }), /CERT_HAS_EXPIRED/],
      ['one for servers', () => ({ cert: site.path('server.crt'), key: site.path('server.key') }), /INVALID_PURPOSE/],
    ];
    for (const [what, own, logged] of refused) {
      it(`lets in nobody with ${what}`, async () => {
        const { settled, told } = await tryToRecord(bound, { tls: { ca: site.path('ca.crt'), ...own() }, token: site.token });
        assert.equal(settled, 0);
        assert.equal(told?.code, 'UNAVAILABLE');
        assert.match(told?.message ?? '', /client certificate/);
        await until('it is in the log', () => log.includes('connections were refused')); // once a minute
        assert.match(log, logged);
      });
    }

    it('says so to who asks over HTTP', async () => {
      assert.match(String(await ask(bound)), /wants a client certificate, and none was given\n--cert FILE/);
      const client = { ca: Buffer.from(site.ca.cert), cert: Buffer.from(other.agent.cert), key: Buffer.from(other.agent.key) };
      assert.match(
        String(await ask(bound, { tls: client })),
        /wants a client certificate, and perhaps does not take the one that was given/,
      );
    });
  });

  it('takes a token without TLS on this machine', async () => {
    const bound = await start(token);
    assert.deepEqual(await tryToRecord(bound, { token: site.token }), { settled: 1 });
    assert.equal((await tryToRecord(bound, {})).told?.code, 'REFUSED');
    const url = `http://${formatAddress(bound.http)}`;
    assert.equal(await ask(bound, { url, tls: {} }), 'answered');
    assert.match(String(await ask(bound, { url, tls: {}, token: undefined })), /none was given/);
    const grpc = `http://${formatAddress(bound.grpc)}`;
    assert.match(String(await ask(bound, { url: grpc, tls: {} })), /what answers there does not speak HTTP\nIs it the port of gRPC/);
    const { told } = await tryToRecord(bound, { tls: { ca: site.path('ca.crt') }, token: site.token });
    assert.match(told?.message ?? '', /without TLS/);
    assert.match(String(await ask(bound)), /there is no TLS on that port\nIs it http:\/\//);
  });

  it('speaks TLS on unix sockets', async () => {
    const http = `unix:${join(folder, 'h.sock')}`;
    const local = await start(tls + token, `unix:${join(folder, 'g.sock')}`, http);
    assert.deepEqual(await tryToRecord(local, { tls: { ca: site.path('ca.crt') }, token: site.token }), { settled: 1 });
    assert.equal(await ask(local, { url: http }), 'answered');
  });

  it('lets a recorder in again when its token is known again, and loses nothing', async () => {
    const first = await start(tls + token);
    const { port } = first.grpc as { port: number };
    const told: FondacoError[] = [];
    const recorder = await Recorder.open(
      {
        component: 'c',
        proxy: `127.0.0.1:${port}`,
        spool: false,
        tls: { ca: site.path('ca.crt') },
        token: 'a-token-of-tomorrow',
        onError: (error) => told.push(error),
      },
      { env: {} },
    );
    recorder.event('test.Tick', 'info', 'one');
    await until('it is refused', () => told.length > 0);
    recorder.event('test.Tick', 'info', 'two');
    stop.abort();
    await running;
    await until('it hears of the stop, too', () => told.some(({ code }) => code === 'UNAVAILABLE'), 10_000);
    await start(`${tls}  token: a-token-of-tomorrow\n`, `127.0.0.1:${port}`);
    await until('both are settled', () => recorder.status().ledger.settled === 2, 15_000);
    assert.deepEqual(
      told.map(({ code }) => code),
      ['REFUSED', 'UNAVAILABLE'],
      'each is told once an outage',
    );
    await recorder.close();
  });
});
