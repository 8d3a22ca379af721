import { assert } from 'chai';
import { until } from '../../demo/until.ts';
import { FakeClock } from '../support/fake-clock.ts';

describe('until', () => {
  it('looks until there is something, and gives it', async () => {
    const clock = new FakeClock();
    let looks = 0;
    const found = until('a thing', () => (++looks === 3 ? 'thing' : undefined), { clock, limitMs: 1000 });
    await clock.advance(200);
    assert.equal(await found, 'thing');
    assert.equal(looks, 3);
  });

  it('takes 0 and an empty text for something', async () => {
    assert.equal(await until('a number', () => 0, { clock: new FakeClock(), limitMs: 1 }), 0);
  });

  it('gives up after its limit and names what it waited for', async () => {
    const clock = new FakeClock();
    const failed = until('a ship', () => false, { clock, limitMs: 1500 }).catch((error: unknown) => (error as Error).message);
    await clock.advance(2000);
    assert.equal(await failed, 'waited 1.5 s in vain for a ship');
    assert.equal(clock.sleeping, 0);
  });

  it('ends at once when it is stopped', async () => {
    const stop = new AbortController();
    const failed = until('a ship', () => false, { clock: new FakeClock(), limitMs: 1500, signal: stop.signal }).catch(
      (error: unknown) => (error as Error).message,
    );
    stop.abort();
    assert.equal(await failed, 'stopped while waiting for a ship');
  });
});
