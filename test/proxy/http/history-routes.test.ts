import { assert } from 'chai';
import { MemoryStorage } from '../../../journal/memory-journal.ts';
import { SurfaceKit } from '../../support/surface-kit.ts';

interface Page {
  readonly events: { id: string; lane: string; position: number; message: string; kind: string; foldedInto?: string; epoch: number }[];
  readonly missing?: unknown[];
  readonly next?: string;
  readonly error?: { code: string; message: string; field?: string };
}

const event = (message: string, more: object = {}): object => ({ type: 'disk.Full', severity: 'error', message, ...more });

describe('GET /v1/events', () => {
  let kit: SurfaceKit;

  describe('on LevelDB', () => {
    before(async () => (kit = await SurfaceKit.open()));
    after(async () => kit.stop());

    it('pages through 10,000 entries of both lanes, each exactly once, while more arrive', async function () {
      this.timeout(30_000);
      const ids: string[] = [];
      for (let batch = 0; batch < 50; batch++) {
        const { body } = await kit.post(
          Array.from({ length: 200 }, (_, i) => event(`${batch}/${i}`, i % 10 === 0 ? { severity: 'critical' } : {})),
        );
        ids.push(...body.results.map(({ id = '' }) => id));
      }
      let isOver = false;
      const posting = (async () => {
        while (!isOver) await kit.post([event('more'), event('more', { severity: 'critical' })]);
      })();
      const seen: string[] = [];
      let pages = 0;
      for (let path: string | undefined = '/v1/events?limit=333'; path; pages++) {
        const { status, body }: { status: number; body: Page } = await kit.ask<Page>(path);
        assert.equal(status, 200);
        assert.isUndefined(body.missing);
        seen.push(...body.events.filter(({ message }) => message !== 'more').map(({ id }) => id));
        path = body.next === undefined ? undefined : `/v1/events?limit=333&before=${body.next}`;
      }
      isOver = true;
      await posting;
      assert.isAbove(pages, 30);
      assert.equal(new Set(seen).size, seen.length);
      assert.sameMembers(seen, ids);
    });

    it('shows an event as it is delivered, and where it is', async () => {
      const attributes = '{"n":1.50,"z":-0.0}';
      const { body } = await kit.post(
        `{"type":"a.B","severity":"info","message":"é\\n\\"","object":{"kind":"Disk"},"attributes":${attributes}}`,
      );
      const id = body.results[0]!.id!;
      const text = await (await fetch(`${kit.url}/v1/events/${id}`)).text();
      const position = kit.journal.head('normal') - 1;
      const { receivedTime, time } = JSON.parse(text) as { receivedTime: string; time: string };
      assert.equal(
        text,
        `{"id":"${id}","type":"a.B","severity":"info","time":"${time}","message":"é\\n\\""` +
          `,"source":{"site":"plant-7","node":"proxy-host","component":"http"},"object":{"kind":"Disk"},"attributes":${attributes}` +
          `,"receivedTime":"${receivedTime}","revision":0,"count":1,"added":1,"firstTime":"${time}","lastTime":"${time}"` +
          `,"lane":"normal","position":${position},"epoch":1,"kind":"accepted"}`,
      );
      const page = await kit.ask<Page>('/v1/events?limit=1&type=a.*');
      assert.deepEqual(page.body.events as unknown[], [JSON.parse(text)]);
      assert.match(page.headers.get('content-type')!, /^application\/json/);
    });

    it('chooses by type, severity, node, component and lane', async () => {
      await kit.post([
        event('1', { type: 'x.One', severity: 'debug', source: { node: 'na', component: 'ca' } }),
        event('2', { type: 'x.Two', severity: 'critical', source: { node: 'na', component: 'cb' } }),
        event('3', { type: 'y.One', severity: 'warn', source: { node: 'nb', component: 'ca' } }),
      ]);
      const found = async (query: string): Promise<string[]> =>
        (await kit.ask<Page>(`/v1/events?limit=3&${query}`)).body.events.map(({ message }) => message);
      assert.deepEqual(await found('type=x.*'), ['2', '1']);
      assert.deepEqual(await found('type=*.One'), ['3', '1']);
      assert.deepEqual(await found('type=y.One&minSeverity=warn'), ['3']);
      assert.deepEqual(await found('node=na'), ['2', '1']);
      assert.deepEqual(await found('node=na&component=cb'), ['2']);
      assert.deepEqual(await found('node=na&lane=normal'), ['1']);
      assert.deepEqual(await found('since=2999-01-01T00:00:00Z'), []);
      assert.deepEqual(await found('until=2020-01-01T00:00:00Z'), []);
    });

    const bad: [query: string, field: string, message: RegExp][] = [
      ['limit=0', 'limit', /^limit must be an integer from 1 to 1000, got "0"$/],
      ['limit=1001', 'limit', /got "1001"$/],
      ['limit=1e2', 'limit', /got "1e2"$/],
      ['limit=', 'limit', /got ""$/],
      ['limit=1&limit=2', 'limit', /^limit must be given once, got it 2 times$/],
      ['before=5', 'before', /^before must be a cursor such as u12\.n345, as it was given, got "5"$/],
      ['before=u0.n1', 'before', /got "u0\.n1"$/],
      ['type=a%20b', 'type', /^type must be an event type with \* .*, got "a b"$/],
      ['minSeverity=fatal', 'minSeverity', /^minSeverity must be one of debug, info, warn, error, critical, got "fatal"$/],
      ['lane=fast', 'lane', /^lane must be one of urgent, normal, got "fast"$/],
      ['since=yesterday', 'since', /^since must be RFC 3339 .*, got "yesterday"$/],
      ['until=2026-02-30T00:00:00Z', 'until', /^until must be RFC 3339/],
      ['severity=warn', 'severity', /^unknown parameter, expected any of limit, before, type, .*, got "severity"$/],
    ];
    for (const [query, field, message] of bad) {
      it(`refuses ?${query}`, async () => {
        const { status, body } = await kit.ask<Page>(`/v1/events?${query}`);
        assert.equal(status, 400);
        assert.deepEqual([body.error?.code, body.error?.field], ['BAD_REQUEST', field]);
        assert.match(body.error!.message, message);
        assert.equal((await kit.ask('/v1/events?limit=1')).status, 200);
      });
    }

    it('says how far it looked for what is not there', async () => {
      const { body } = await kit.ask<Page>('/v1/events?limit=1');
      const id = body.events[0]!.id.replace(/-\d+$/, '-999999999');
      const absent = await kit.ask<Page>(`/v1/events/${id}`);
      assert.equal(absent.status, 404);
      assert.deepEqual([absent.body.error?.code, absent.body.error?.field], ['NOT_FOUND', 'id']);
      assert.match(
        absent.body.error!.message,
        /^there is no event ".*-999999999" in the journal, or no longer: looked at urgent \d+ to \d+, normal/,
      );
      assert.equal((await kit.ask<Page>(`/v1/events/nonsense`)).status, 404);
      assert.equal((await kit.ask<Page>(`/v1/events/${'x'.repeat(900)}`)).status, 404);
      assert.lengthOf(kit.problems, 0);
    });
  });

  it('gives nothing of an empty journal', async () => {
    kit = await SurfaceKit.open({ storage: new MemoryStorage() });
    assert.deepEqual((await kit.ask('/v1/events')).body, { events: [] });
    await kit.stop();
  });

  it('shows folded entries whole, with the id of their first', async () => {
    kit = await SurfaceKit.open({ storage: new MemoryStorage(), dedupMs: 10_000 });
    const { body } = await kit.post([event('same'), event('same'), event('other')]);
    const page = await kit.ask<Page>('/v1/events');
    const [other, folded, first] = page.body.events;
    assert.deepEqual([other!.kind, folded!.kind, first!.kind], ['accepted', 'folded', 'accepted']);
    assert.deepEqual([folded!.id, folded!.message, folded!.foldedInto], [body.results[1]!.id, 'same', first!.id]);
    assert.deepEqual((await kit.ask<unknown>(`/v1/events/${folded!.id}`)).body, folded);
    await kit.stop();
  });

  it('answers 503 while the journal is reopened, or 200: never 500', async () => {
    const storage = new MemoryStorage();
    kit = await SurfaceKit.open({ storage });
    await kit.post([event('1')]);
    let isFailing = true;
    storage.fate = () => (isFailing ? 'failed' : 'taken');
    storage.openFailures = 1;
    await kit.post([event('2')]);
    const answers = await Promise.all(Array.from({ length: 5 }, () => kit.ask('/v1/events')));
    for (const { status } of answers) assert.include([200, 503], status);
    isFailing = false;
    assert.lengthOf(kit.problems, 0);
    await kit.stop();
  });
});
