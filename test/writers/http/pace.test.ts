import { assert } from 'chai';
import type { Clock } from '../../../core/clock.ts';
import type { Lane } from '../../../core/lane.ts';
import { httpEventsMax, httpProblems, httpSettings } from '../../../writers/http/settings.ts';
import { Pace } from '../../../writers/http/pace.ts';
import { deliveries, eventOf, plainLines } from '../../support/deliveries.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { openHttp } from '../../support/http-scene.ts';
import { Subscriber } from '../../support/subscriber.ts';

const never = new AbortController().signal;

describe('a limit of what is sent', () => {
  let clock: FakeClock;
  let sent: string[];

  beforeEach(() => {
    clock = new FakeClock();
    sent = [];
  });

  const send = async (pace: Pace, lane: Lane, cost: { events: number; bytes: number }, signal = never): Promise<void> => {
    await pace.turn(lane, cost, signal);
    if (!signal.aborted) sent.push(`${lane} ${clock.monotonic()}`);
  };

  it('lets a request out when those before it are paid, by events or by bytes, whichever takes longer', async () => {
    const pace = new Pace(clock, { eventsPerSecond: 10, bytesPerSecond: 1000 });
    for (const [events, bytes] of [
      [1, 1],
      [5, 1],
      [1, 2000],
      [1, 1],
    ] as const)
      void send(pace, 'normal', { events, bytes }).catch(assert.fail);
    await clock.advance(10_000);
    assert.deepEqual(sent, ['normal 0', 'normal 100', 'normal 600', 'normal 2600']);
  });

  it('without one holds nothing back', async () => {
    const pace = new Pace(clock);
    for (let i = 0; i < 3; i++) await send(pace, 'normal', { events: 500, bytes: 1e9 });
    assert.deepEqual(sent, ['normal 0', 'normal 0', 'normal 0']);
  });

  it('does not let the normal lane keep the urgent one waiting; the urgent one leaves it a fifth', async () => {
    const pace = new Pace(clock, { eventsPerSecond: 10 });
    await send(pace, 'normal', { events: 1000, bytes: 0 }); // 100 s
    const urgent = async (): Promise<void> => {
      while (clock.monotonic() < 200_000) await send(pace, 'urgent', { events: 1, bytes: 0 });
    };
    const normal = async (): Promise<void> => {
      while (clock.monotonic() < 200_000) await send(pace, 'normal', { events: 1, bytes: 0 });
    };
    void urgent();
    void normal();
    await clock.advance(100);
    assert.include(sent, 'urgent 0');
    await clock.advance(600_000);
    const until = sent.filter((line) => Number(line.split(' ')[1]) < 200_000);
    const urgents = until.filter((line) => line.startsWith('urgent')).length;
    assert.approximately(urgents, 200 * 8, 2);
    assert.isAtMost(until.length - 1 + 1000, 200 * 10 + 1000, 'not more than the limit in all, but for what was in debt');
    const normals = sent.filter((line) => line.startsWith('normal')).length;
    assert.isAbove(normals, 1, 'the normal lane still moves');
  }).timeout(10_000);

  it('charges nothing for a request that was given up while it waited', async () => {
    const pace = new Pace(clock, { eventsPerSecond: 1 });
    await send(pace, 'normal', { events: 10, bytes: 0 });
    for (let i = 0; i < 5; i++) {
      const stop = new AbortController();
      const waiting = send(pace, 'normal', { events: 10, bytes: 0 }, stop.signal);
      await clock.advance(1000);
      stop.abort();
      await waiting;
    }
    void send(pace, 'normal', { events: 10, bytes: 0 });
    await clock.advance(5000);
    assert.deepEqual(sent, ['normal 0', 'normal 10000']);
    await settle();
  });

  it('counts the bytes of a body as they are sent', async () => {
    const subscriber = await Subscriber.open();
    const waits: number[] = [];
    let at = 0;
    const patient: Clock = {
      now: () => Date.now(),
      monotonic: () => at,
      sleep: async (ms) => {
        waits.push(ms);
        at += ms;
      },
    };
    const batch = deliveries(plainLines(1, 100).map((line, i) => eventOf(line, i + 1)));
    const sizes: number[] = [];
    for (const compression of ['none', 'gzip'] as const) {
      waits.length = 0;
      const writer = await openHttp({ url: subscriber.url, compression, limit: { bytesPerSecond: '1KiB' } }, { clock: patient });
      await writer.write(batch, never);
      const before = subscriber.requests.at(-1)!.body.length;
      await writer.write(batch, never);
      assert.deepEqual(waits, [Math.ceil(before / 1.024)], compression);
      sizes.push(before);
      await writer.close();
    }
    assert.isBelow(sizes[1]!, sizes[0]! / 5);
    await subscriber.close();
  });

  it('makes batches of no more than a second brings, and leaves the rest of the settings their say', () => {
    const parse = (more: object) => httpSettings.parse({ url: 'http://127.0.0.1/', ...more });
    assert.equal(httpEventsMax(parse({ limit: { eventsPerSecond: 20 } })), 20);
    assert.isUndefined(httpEventsMax(parse({ limit: { bytesPerSecond: '1MiB' } })));
    assert.equal(httpEventsMax(parse({ format: 'cloudevents', concurrency: 8 })), 32);
    assert.equal(httpEventsMax(parse({ format: 'cloudevents', concurrency: 8, limit: { eventsPerSecond: 5 } })), 5);
    assert.deepEqual(httpProblems(parse({ concurrency: 2 })), [
      { key: ['concurrency'], message: 'must stand beside format cloudevents or cloudevents-binary, the others send a batch' },
    ]);
    assert.deepEqual(httpProblems(parse({ redfish: {} })), [{ key: ['redfish'], message: 'must stand beside format redfish only' }]);
  });
});
