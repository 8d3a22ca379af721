/** Writers, dead letters, replays and the verification over HTTP. */
import { assert } from 'chai';
import type { FeedStatus } from '../../../dispatcher/feed/feed-status.ts';
import type { Check } from '../../../dispatcher/ledger/ledger-verify.ts';
import type { ReplayStatus } from '../../../dispatcher/dead-letters/replay-row.ts';
import { formatAddress } from '../../../proxy/address.ts';
import { deadLetterRoutes } from '../../../proxy/http/dead-letter-routes.ts';
import { HttpSurface } from '../../../proxy/http/server.ts';
import { verifyRoutes } from '../../../proxy/http/verify-routes.ts';
import { writerRoutes } from '../../../proxy/http/writer-routes.ts';
import { LetterKit, poisonIs, texts } from '../../support/letter-kit.ts';

interface Shown {
  readonly id: string;
  readonly event: Record<string, unknown>;
  readonly delivery: Record<string, unknown>;
}

/** Whatever any of the routes answers. */
interface Body {
  readonly error: { readonly code: string; readonly message: string; readonly field?: string };
  readonly deadLetters: readonly Shown[];
  readonly next?: string;
  readonly damaged?: readonly string[];
  readonly missing?: readonly string[];
  readonly replay: ReplayStatus;
  readonly replays: readonly ReplayStatus[];
  readonly writers: readonly (FeedStatus & { readonly kind: string })[];
  readonly checks: readonly Check[];
}

describe('dead letters over HTTP', () => {
  let box: LetterKit;
  let surface: HttpSurface;
  let problems: Error[];

  beforeEach(async () => {
    box = new LetterKit();
    await box.filled();
    problems = [];
    const feeds = [...box.kit.feeds.values()];
    const { journal, dispatcher } = box.kit;
    surface = await HttpSurface.open({
      address: { host: '127.0.0.1', port: 0 },
      routes: [writerRoutes({ feeds, kindOf: () => 'http' }), deadLetterRoutes({ dispatcher, feeds }), verifyRoutes(journal)],
      onProblem: (problem) => problems.push(problem),
    });
  });

  afterEach(async () => {
    await surface.close();
    await box.end();
    assert.deepEqual(problems, []);
  });

  async function ask(
    path: string,
    body?: unknown,
    method = body === undefined ? 'GET' : 'POST',
  ): Promise<{ status: number; body: Body; whole: object; text: string }> {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const url = `http://${formatAddress(surface.address)}${path}`;
    const answer = await fetch(url, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) });
    const text = await answer.text();
    assert.match(answer.headers.get('content-type') ?? '', /^application\/json/);
    return { status: answer.status, body: JSON.parse(text) as Body, whole: JSON.parse(text) as object, text };
  }

  const idsOf = (letters: readonly Shown[]): string[] => letters.map(({ id }) => id);
  const all = [...[2, 4, 6, 8, 10, 12, 14, 16, 18, 20].map((n) => `ops/normal/${n}`), 'ops/urgent/2', 'ops/urgent/4'];

  describe('GET /v1/dead-letters', () => {
    it('lists them with the whole event, what was wrong, and when', async () => {
      const { status, body } = await ask('/v1/dead-letters');
      assert.equal(status, 200);
      assert.deepEqual(Object.keys(body), ['deadLetters']);
      assert.deepEqual(idsOf(body.deadLetters), all);
      const { event, delivery, ...letter }: Shown = body.deadLetters[0]!;
      assert.deepEqual<unknown>(letter, {
        id: 'ops/normal/2',
        writer: 'ops',
        lane: 'normal',
        position: 2,
        at: '2026-11-22T08:00:00Z',
        reason: '422',
        status: '422',
        attempts: 1,
        firstAttemptAt: '2026-11-22T08:00:00Z',
        lastAttemptAt: '2026-11-22T08:00:00Z',
      });
      assert.include(delivery, { writer: 'ops', lane: 'normal', seq: 2 });
      assert.deepInclude(event, {
        type: 'test.Event',
        severity: 'info',
        message: 'a 2',
        attributes: {},
        lane: 'normal',
        position: 2,
        epoch: 1,
        kind: 'accepted',
      });
      assert.notProperty(event, 'delivery');
      assert.deepEqual((await ask('/v1/dead-letters/ops/normal/2')).whole, body.deadLetters[0]);
    });

    it('comes in pages, of a writer or of all', async () => {
      const pages: string[][] = [];
      for (let next: string | undefined = ''; next !== undefined;) {
        const { body } = await ask(`/v1/dead-letters?writer=ops&limit=5${next === '' ? '' : `&after=${encodeURIComponent(next)}`}`);
        pages.push(idsOf(body.deadLetters));
        next = body.next;
      }
      assert.deepEqual(pages, [all.slice(0, 5), all.slice(5, 10), all.slice(10)]);
      assert.deepEqual((await ask('/v1/dead-letters?limit=12')).body.next, undefined);
      assert.deepEqual((await ask('/v1/dead-letters?writer=other')).whole, { deadLetters: [] });
      assert.deepEqual(idsOf((await ask('/v1/dead-letters?after=ops/normal/3&limit=1')).body.deadLetters), ['ops/normal/4']);
    });

    it('shows attributes as they were recorded', async () => {
      box.writer.answer = poisonIs('a 30');
      await box.record(30, 30, { attributes: { big: 9007199254740991, small: 1e-7, text: 'ü"\\\u2028', none: null } });
      await box.kit.clock.advance(1000);
      const { text } = await ask('/v1/dead-letters/ops/normal/21');
      assert.include(text, JSON.stringify({ big: 9007199254740991, small: 1e-7, text: 'ü"\\\u2028', none: null }));
    });

    it('names damaged ones, which can be purged and nothing else', async () => {
      const key = Buffer.from('dead:ops/normal/0000000000000004');
      const value = Buffer.from(box.kit.storage.get(key)!);
      value[30]! ^= 1;
      box.kit.storage.apply([{ key, value }]);
      const { body } = await ask('/v1/dead-letters?limit=3');
      assert.deepEqual(
        [idsOf(body.deadLetters), body.damaged, body.next],
        [['ops/normal/2', 'ops/normal/6'], ['ops/normal/4'], 'ops/normal/6'],
      );
      assert.equal((await ask('/v1/dead-letters/ops/normal/4')).status, 500);
      problems.length = 0;
      assert.deepEqual((await ask('/v1/dead-letters/purge', { writer: 'ops', ids: ['ops/normal/4'] })).whole, { purged: 1 });
      await ask('/v1/dead-letters/purge', { writer: 'ops' });
    });

    for (const [query, field, says] of [
      ['limit=0', 'limit', 'a number from 1 to 1000, got "0"'],
      ['limit=1001', 'limit', 'got "1001"'],
      ['limit=ten', 'limit', 'got "ten"'],
      ['after=17', 'after', '<writer>/<lane>/<position>, got "17"'],
      ['after=ops/fast/17', 'after', 'got "ops/fast/17"'],
      ['writer=ops&writer=other', 'writer', 'given once'],
      ['wrighter=ops', 'wrighter', 'one of writer, limit, after'],
    ] as const) {
      it(`refuses ${query}`, async () => {
        const { status, body } = await ask(`/v1/dead-letters?${query}`);
        assert.deepEqual([status, body.error.code, body.error.field], [400, 'BAD_REQUEST', field]);
        assert.include(body.error.message, says);
      });
    }

    it('knows no writer and no letter that is not there', async () => {
      assert.deepInclude((await ask('/v1/dead-letters?writer=opps')).body.error, { code: 'NOT_FOUND', field: 'writer' });
      for (const id of ['ops/normal/3', 'ops/fast/2', 'ops/normal/x', 'opps/normal/2', 'ops/normal/0'])
        assert.equal((await ask(`/v1/dead-letters/${id}`)).status, 404, id);
    });
  });

  describe('POST /v1/dead-letters/replay', () => {
    it('begins, is told of by /v1/replays, and there is one at a time', async () => {
      assert.deepEqual((await ask('/v1/replays')).whole, { replays: [] });
      box.writer.answer = () => new Promise(() => undefined);
      const { status, body } = await ask('/v1/dead-letters/replay', { writer: 'ops' });
      assert.equal(status, 202);
      assert.include(body.replay, {
        writer: 'ops',
        state: 'running',
        total: 12,
        delivered: 0,
        deadAgain: 0,
        startedAt: '2026-11-22T08:00:10Z',
      });
      assert.equal(body.replay.series, body.replay.lanes.normal.series);
      const second = await ask('/v1/dead-letters/replay', { writer: 'ops' });
      assert.deepEqual([second.status, second.body.error], [409, { code: 'CONFLICT', message: 'a replay of ops is under way' }]);
      assert.equal((await ask('/v1/dead-letters/purge', { writer: 'ops' })).status, 409);
      assert.deepEqual(
        (await ask('/v1/replays')).body.replays.map(({ writer }) => writer),
        ['ops'],
      );
      const stopped = await ask('/v1/replays/ops/stop', undefined, 'POST');
      assert.deepInclude(stopped.whole, { isChanged: true });
      assert.equal(stopped.body.replay.state, 'stopped');
      assert.deepInclude((await ask('/v1/replays/ops/stop', undefined, 'POST')).whole, { isChanged: false, note: 'it was over already' });
      assert.equal((await ask('/v1/replays/other/stop', undefined, 'POST')).status, 404);
      assert.equal((await ask('/v1/replays/opps/stop', undefined, 'POST')).status, 404);
      await box.kit.clock.advance(60_000);
    });

    it('by ids; what no letter has is named', async () => {
      const ids = ['ops/normal/14', 'ops/normal/3', 'ops/urgent/4'];
      const { body } = await ask('/v1/dead-letters/replay', { writer: 'ops', ids });
      assert.deepEqual([body.replay.total, body.missing], [2, ['ops/normal/3']]);
      await box.kit.clock.advance(100);
      assert.deepEqual(box.writer.messages, texts(24, 14));
      const none = await ask('/v1/dead-letters/replay', { writer: 'ops', ids: ['ops/normal/3'] });
      assert.deepEqual([none.status, none.body.error.field], [404, 'ids']);
    });

    it("by a filter, in the event's own shape; the same for a purge", async () => {
      const none = await ask('/v1/dead-letters/replay', { writer: 'ops', filter: { types: ['none.*'] } });
      assert.deepEqual([none.status, none.whole], [200, { matched: 0 }]);
      const { status, body } = await ask('/v1/dead-letters/replay', { writer: 'ops', filter: { minSeverity: 'critical' } });
      assert.deepEqual([status, body.replay.total], [202, 2]);
      await box.kit.clock.advance(100);
      assert.deepEqual(box.writer.messages, texts(22, 24));
      const purged = await ask('/v1/dead-letters/purge', { writer: 'ops', filter: { not: { severity: 'critical' } } });
      assert.deepEqual(purged.whole, { purged: 10 });
      const wrong: [filter: unknown, field: string, says: string][] = [
        ['warn', 'filter', 'filter must be a map, got "warn"'],
        [{ minSeverity: 'bad' }, 'filter.minSeverity', 'filter.minSeverity must be one of debug, info, warn, error, critical, got "bad"'],
        [
          { object: { kin: 'x' } },
          'filter.object.kin',
          'filter.object.kin must be left out: only kind, name, namespace, tenant, uri are known',
        ],
        [{ not: [{ types: [7] }] }, 'filter.not[0].types[0]', "must be an event type or a pattern such as 'cluster.*', got 7"],
      ];
      for (const [filter, field, says] of wrong) {
        const refused = await ask('/v1/dead-letters/replay', { writer: 'ops', filter });
        assert.deepEqual([refused.status, refused.body.error.field], [400, field]);
        assert.include(refused.body.error.message, says);
      }
      const both = await ask('/v1/dead-letters/purge', { writer: 'ops', filter: {}, ids: ['ops/normal/2'] });
      assert.deepEqual([both.status, both.body.error.message], [400, 'filter must be left out beside ids, got {}']);
    });
  });

  it('POST /v1/dead-letters/purge gives up the chosen ones, or all', async () => {
    const some = await ask('/v1/dead-letters/purge', { writer: 'ops', ids: ['ops/normal/2', 'ops/normal/3'] });
    assert.deepEqual(some.whole, { purged: 1, missing: ['ops/normal/3'] });
    assert.deepEqual((await ask('/v1/dead-letters/purge', { writer: 'ops' })).whole, { purged: 11 });
    assert.deepEqual((await ask('/v1/dead-letters')).whole, { deadLetters: [] });
  });

  for (const verb of ['replay', 'purge']) {
    for (const [body, field, status] of [
      [[], 'body', 400],
      ['ops', 'body', 400],
      [{}, 'writer', 400],
      [{ writer: 7 }, 'writer', 400],
      [{ writer: 'opps' }, 'writer', 404],
      [{ writer: 'ops', ids: [] }, 'ids', 400],
      [{ writer: 'ops', ids: 'ops/normal/2' }, 'ids', 400],
      [{ writer: 'ops', ids: ['ops/normal/2', 2] }, 'ids[1]', 400],
      [{ writer: 'ops', ids: ['other/normal/2'] }, 'ids[0]', 400],
      [{ writer: 'ops', all: true }, 'all', 400],
    ] as const) {
      it(`${verb} refuses ${JSON.stringify(body)}, and does nothing`, async () => {
        const answer = await ask(`/v1/dead-letters/${verb}`, body);
        assert.deepEqual([answer.status, answer.body.error.field], [status, field]);
        assert.lengthOf(box.letters, 12);
      });
    }
  }

  it('shows writers, pauses and resumes them, and says when that changed nothing', async () => {
    const { body } = await ask('/v1/writers');
    assert.deepEqual(
      body.writers.map(({ name, kind, state, dead }) => [name, kind, state, dead]),
      [
        ['ops', 'http', 'delivering', 12],
        ['other', 'http', 'delivering', 0],
      ],
    );
    const post = async (verb: string, name = 'ops'): Promise<object> => (await ask(`/v1/writers/${name}/${verb}`, undefined, 'POST')).whole;
    assert.deepEqual(await post('resume'), {
      writer: 'ops',
      state: 'delivering',
      isChanged: false,
      note: 'it was not paused, refused, suspended or retrying',
    });
    assert.deepEqual(await post('pause'), { writer: 'ops', state: 'paused', isChanged: true });
    assert.deepEqual(await post('pause'), { writer: 'ops', state: 'paused', isChanged: false, note: 'it was paused already' });
    assert.include((await ask('/v1/writers')).body.writers[0], { state: 'paused', pausedSince: '2026-11-22T08:00:10Z' });
    assert.deepEqual(await post('resume'), { writer: 'ops', state: 'delivering', isChanged: true });
    for (const verb of ['pause', 'resume']) assert.nestedInclude(await post(verb, 'opps'), { 'error.code': 'NOT_FOUND' });
  });

  it('GET /v1/ledger/verify holds the books against what is there', async () => {
    const { body, whole } = await ask('/v1/ledger/verify');
    assert.deepInclude(whole, { isGood: true, notChecked: [] });
    assert.deepInclude(body.checks, { name: 'ops/normal: dead letters', expected: 10, found: 10, isGood: true });
  });
});
