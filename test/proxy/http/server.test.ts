import { get } from 'node:http';
import { join } from 'node:path';
import { assert } from 'chai';
import { FondacoError } from '../../../core/errors.ts';
import { formatAddress } from '../../../proxy/address.ts';
import { HttpSurface, type HttpSurfaceOptions } from '../../../proxy/http/server.ts';
import { statusRoutes } from '../../../proxy/http/status-routes.ts';
import { writerRoutes } from '../../../proxy/http/writer-routes.ts';
import { tempDirectory } from '../../support/temp-directory.ts';

describe('HTTP surface', () => {
  let surface: HttpSurface;
  let isReady: boolean;
  let problems: Error[];
  let status: () => Promise<object>;
  const options = (): HttpSurfaceOptions => ({
    address: { host: '127.0.0.1', port: 0 },
    routes: [
      statusRoutes({ isReady: () => isReady, status: () => status(), ledger: async () => ({ isBalanced: true }) }),
      writerRoutes({ feeds: [], kindOf: () => 'http' }),
    ],
    onProblem: (problem) => problems.push(problem),
  });

  beforeEach(async () => {
    isReady = true;
    problems = [];
    status = async () => ({ site: 'plant-7' });
    surface = await HttpSurface.open(options());
  });
  afterEach(async () => surface.close());

  async function ask(path: string, init?: RequestInit): Promise<{ status: number; body: unknown; headers: Headers }> {
    const answer = await fetch(`http://${formatAddress(surface.address)}${path}`, init);
    return { status: answer.status, body: JSON.parse(await answer.text()) as unknown, headers: answer.headers };
  }

  it('does nothing for a web page: not from another origin, not under a name of the network', async () => {
    const origin = `http://${formatAddress(surface.address)}`;
    const pause = (headers: Record<string, string>): Promise<{ status: number }> =>
      ask('/v1/writers/ops/pause', { method: 'POST', headers });
    assert.include(await pause({ origin: 'http://evil.example' }), { status: 403 });
    assert.include(await pause({ origin: 'null' }), { status: 403 });
    assert.include(await pause({ origin }), { status: 404 }, 'there is no such writer, but it was asked');
    assert.include(await pause({}), { status: 404 });
    const under = (host: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const { port } = new URL(origin);
        get({ host: '127.0.0.1', port, path: '/v1/status', headers: { host } }, (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        }).on('error', reject);
      });
    assert.equal(await under('evil.example'), 403);
    assert.equal(await under('evil.example:7071'), 403);
    for (const host of ['localhost:7071', '127.0.0.1:7071', '[::1]:7071']) assert.equal(await under(host), 200, host);
  });

  it('says that it lives, and what it is asked', async () => {
    assert.deepInclude(await ask('/healthz'), { status: 200, body: { status: 'ok' } });
    assert.deepInclude(await ask('/v1/status'), { status: 200, body: { site: 'plant-7' } });
    assert.deepInclude(await ask('/v1/ledger?x=1'), { status: 200, body: { isBalanced: true } });
    assert.match((await ask('/v1/status')).headers.get('content-type') ?? '', /^application\/json/);
  });

  it('is ready while ingest works', async () => {
    assert.equal((await ask('/readyz')).status, 200);
    isReady = false;
    assert.deepInclude(await ask('/readyz'), {
      status: 503,
      body: { error: { code: 'UNAVAILABLE', message: 'the journal takes nothing at the moment' } },
    });
    assert.equal((await ask('/healthz')).status, 200);
  });

  it('says so where there is no writer of that name', async () => {
    assert.deepInclude(await ask('/v1/writers/opps/resume', { method: 'POST' }), {
      status: 404,
      body: { error: { code: 'NOT_FOUND', message: 'there is no writer called "opps"' } },
    });
  });

  it('answers what it does not know in JSON, with what it knows', async () => {
    const unknown = await ask('/v1/nothing?token=abc');
    assert.equal(unknown.status, 404);
    assert.deepEqual(unknown.body, {
      error: {
        code: 'NOT_FOUND',
        message:
          'GET /v1/nothing is none of /healthz, /readyz, /v1/status, /v1/ledger, /v1/writers, /v1/writers/{name}/pause, /v1/writers/{name}/resume',
      },
    });
    const posted = await ask('/v1/status', { method: 'POST', body: '{"x":', headers: { 'content-type': 'application/json' } });
    assert.include([400, 405], posted.status);
    const resumed = await ask('/v1/writers/ops/resume');
    assert.deepEqual(
      [resumed.status, resumed.headers.get('allow'), resumed.body],
      [405, 'POST', { error: { code: 'METHOD_NOT_ALLOWED', message: 'GET /v1/writers/ops/resume: this path takes POST' } }],
    );
    const wrong = await ask('/v1/ledger', { method: 'DELETE' });
    assert.equal(wrong.status, 405);
    assert.equal(wrong.headers.get('allow'), 'GET, HEAD');
    const crooked = await ask('/%zz');
    assert.equal(crooked.status, 400);
    assert.nestedInclude(crooked.body, { 'error.code': 'BAD_REQUEST' });
    assert.notInclude(JSON.stringify(unknown.body), 'token');
  });

  it('tells a journal that is being reopened from a fault of its own', async () => {
    status = async () => {
      throw new FondacoError('UNAVAILABLE', 'the journal is being reopened');
    };
    assert.deepInclude(await ask('/v1/status'), {
      status: 503,
      body: { error: { code: 'UNAVAILABLE', message: 'the journal is being reopened' } },
    });
    assert.lengthOf(problems, 0);
    status = async () => {
      throw new TypeError('a bug');
    };
    assert.deepInclude(await ask('/v1/status'), { status: 500, body: { error: { code: 'INTERNAL', message: 'a bug' } } });
    assert.lengthOf(problems, 1);
  });

  it('says in which status a thing is wrong, and when to come again', async () => {
    status = async () => {
      throw new FondacoError('FULL', 'the journal must have room', { retryAfterMs: 1500 });
    };
    const full = await ask('/v1/status');
    assert.deepEqual([full.status, full.headers.get('retry-after')], [507, '2']);
    assert.deepEqual(full.body, { error: { code: 'FULL', message: 'the journal must have room' } });
    const json = { 'content-type': 'application/json' };
    const large = await ask('/v1/writers/ops/resume', { method: 'POST', headers: json, body: JSON.stringify('x'.repeat(70_000)) });
    assert.equal(large.status, 413);
    assert.deepEqual(large.body, { error: { code: 'TOO_LARGE', message: 'body must be at most 65536 bytes, got 70002', field: 'body' } });
    const unread = await ask('/v1/writers/ops/resume', { method: 'POST', headers: { 'content-type': 'image/png' }, body: 'x' });
    assert.equal(unread.status, 415);
    const message = 'content-type must be application/json, got "image/png"';
    assert.deepEqual(unread.body, { error: { code: 'UNSUPPORTED_MEDIA_TYPE', message, field: 'content-type' } });
    assert.lengthOf(problems, 0);
  });

  for (const [body, says] of [
    ['{"for":"x"}', 'body must be empty or {}, got {"for":"x"}'],
    ['[]', 'body must be empty or {}, got []'],
    ['{"for"', 'body must be JSON, got its end at character 7'],
    ['\u00ff', 'body must be UTF-8, got other bytes'],
  ] as const) {
    it(`refuses ${body} where nothing is to be said`, async () => {
      const headers = { 'content-type': 'application/json' };
      const answer = await ask('/v1/writers/ops/resume', { method: 'POST', headers, body: Buffer.from(body, 'latin1') });
      assert.deepEqual([answer.status, answer.body], [400, { error: { code: 'BAD_REQUEST', message: says, field: 'body' } }]);
    });
  }

  it('reads a large body to where its sender can hear why it is refused', async () => {
    const headers = { 'content-type': 'application/json' };
    const answer = await ask('/v1/writers/ops/resume', { method: 'POST', headers, body: JSON.stringify('x'.repeat(8_000_000)) });
    assert.deepInclude(answer, { status: 413 });
  });

  it('names an address that is taken', async () => {
    try {
      await HttpSurface.open({ ...options(), address: surface.address });
      assert.fail('it must reject');
    } catch (error) {
      assert.match(String(error), /\[UNAVAILABLE\] 127\.0\.0\.1:\d+ is in use/);
    }
  });

  it('listens on a unix socket', async () => {
    const { path, remove } = await tempDirectory();
    const socketPath = join(path, 'http.sock');
    const local = await HttpSurface.open({ ...options(), address: { path: socketPath } });
    const code = await new Promise((resolve, reject) => {
      get({ socketPath, path: '/healthz', agent: false }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      }).once('error', reject);
    });
    assert.equal(code, 200);
    await local.close();
    await remove();
  });
});
