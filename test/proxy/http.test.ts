import { get } from 'node:http';
import { join } from 'node:path';
import { assert } from 'chai';
import { FondacoError } from '../../core/errors.ts';
import { formatAddress } from '../../proxy/address.ts';
import { HttpSurface, type HttpSurfaceOptions } from '../../proxy/http.ts';
import { tempDirectory } from '../support/temp-directory.ts';

describe('HTTP surface', () => {
  let surface: HttpSurface;
  let isReady: boolean;
  let problems: Error[];
  let status: () => Promise<object>;
  const options = (): HttpSurfaceOptions => ({
    address: { host: '127.0.0.1', port: 0 },
    isReady: () => isReady,
    status: () => status(),
    ledger: async () => ({ isBalanced: true }),
    resume: async (writer) => writer === 'ops',
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

  it('resumes a writer, and says so where there is none of that name', async () => {
    assert.deepInclude(await ask('/v1/writers/ops/resume', { method: 'POST' }), { status: 200, body: { writer: 'ops', resumed: true } });
    assert.deepInclude(await ask('/v1/writers/opps/resume', { method: 'POST' }), {
      status: 404,
      body: { error: { code: 'NOT_FOUND', message: 'there is no writer called "opps"' } },
    });
  });

  it('answers what it does not know in JSON, with what it knows', async () => {
    const unknown = await ask('/v1/nothing?token=abc');
    assert.equal(unknown.status, 404);
    assert.deepEqual(unknown.body, {
      error: { code: 'NOT_FOUND', message: 'GET /v1/nothing is none of /healthz, /readyz, /v1/status, /v1/ledger' },
    });
    const posted = await ask('/v1/status', { method: 'POST', body: '{"x":', headers: { 'content-type': 'application/json' } });
    assert.include([400, 405], posted.status);
    const wrong = await ask('/v1/ledger', { method: 'DELETE' });
    assert.equal(wrong.status, 405);
    assert.equal(wrong.headers.get('allow'), 'GET, HEAD');
    assert.equal((await ask('/%zz')).status, 400);
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
