import { assert } from 'chai';
import fc from 'fast-check';
import { restOfWait, systemClock } from '../../core/clock.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';

describe('clock', () => {
  it('leaves the rest of a wait in a later life, clamped where the wall clock jumped', () => {
    assert.equal(restOfWait(1000, 5000, 5400), 600);
    assert.equal(restOfWait(1000, 5000, 6000), 0);
    assert.equal(restOfWait(1000, 5000, 86_400_000), 0);
    assert.equal(restOfWait(1000, 5000, 0), 1000, 'put back: never longer than it was');
    fc.assert(
      fc.property(fc.nat(), fc.integer(), fc.integer(), (lengthMs, startedAt, now) => {
        const rest = restOfWait(lengthMs, startedAt, now);
        assert.isTrue(rest >= 0 && rest <= lengthMs);
      }),
    );
  });

  describe('of the machine', () => {
    it('wakes a sleeper whose signal is aborted, before or while it sleeps, without rejecting', async () => {
      const clock = systemClock();
      await clock.sleep(3_600_000, AbortSignal.abort());
      const stop = new AbortController();
      const sleeping = clock.sleep(3_600_000, stop.signal);
      stop.abort();
      await sleeping;
    });

    it('sleeps through a wait that is too long for a timer, and not at all for a negative one', async () => {
      const clock = systemClock();
      const stop = new AbortController();
      let isAwake = false;
      const sleeping = clock.sleep(2 ** 40, stop.signal).then(() => (isAwake = true));
      await clock.sleep(-5);
      await settle();
      assert.isFalse(isAwake, 'a timer that overflows fires at once');
      stop.abort();
      await sleeping;
    });

    it('never goes back in monotonic time', () => {
      const clock = systemClock();
      let last = clock.monotonic();
      for (let i = 0; i < 1000; i++) {
        const now = clock.monotonic();
        assert.isAtLeast(now, last);
        last = now;
      }
    });
  });

  describe('of the tests', () => {
    it('wakes sleepers in the order of their times, those that begin meanwhile included', async () => {
      const clock = new FakeClock(1000);
      const woken: string[] = [];
      const sleep = (name: string, ms: number): Promise<void> =>
        clock.sleep(ms).then(() => void woken.push(`${name} at ${clock.monotonic()}`));
      void sleep('late', 300);
      void sleep('early', 100).then(() => sleep('chained', 100));
      void sleep('never', 1001);
      await clock.advance(1000);
      assert.deepEqual(woken, ['early at 100', 'chained at 200', 'late at 300']);
      assert.deepEqual([clock.monotonic(), clock.now(), clock.sleeping, clock.nextMs], [1000, 2000, 1, 1]);
    });

    it('lets its wall be set without a sleeper noticing', async () => {
      const clock = new FakeClock();
      let isAwake = false;
      void clock.sleep(10).then(() => (isAwake = true));
      clock.wall += 86_400_000;
      await clock.advance(9);
      assert.isFalse(isAwake);
      await clock.advance(1);
      assert.isTrue(isAwake);
    });
  });
});
