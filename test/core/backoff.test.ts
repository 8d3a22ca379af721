import { assert } from 'chai';
import fc from 'fast-check';
import { isExhausted, retryWaitMs, type RetryPolicy } from '../../core/backoff.ts';

const BACKOFF: RetryPolicy = { policy: 'backoff', initialMs: 100, maxMs: 1000 };
const attempts = [1, 2, 3, 4, 5, 6, 1000, Number.MAX_SAFE_INTEGER];

describe('backoff', () => {
  it('doubles from its first wait to its longest and stays there', () => {
    assert.deepEqual(
      attempts.map((attempt) => retryWaitMs(BACKOFF, attempt, () => 1)),
      [100, 200, 400, 800, 1000, 1000, 1000, 1000],
    );
  });

  it('is jittered over nine tenths of the wait, and never nothing', () => {
    assert.equal(
      retryWaitMs(BACKOFF, 3, () => 0),
      40,
    );
    const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), chance, (attempt, random) => {
        const waitMs = retryWaitMs(BACKOFF, attempt, () => random);
        const ceilingMs = Math.min(1000, 100 * 2 ** (attempt - 1));
        assert.isAtLeast(waitMs, Math.floor(ceilingMs / 10));
        assert.isAtMost(waitMs, ceilingMs);
      }),
    );
  });

  it('waits the same each time under `constant`', () => {
    const policy: RetryPolicy = { policy: 'constant', intervalMs: 250 };
    assert.deepEqual(
      attempts.map((attempt) => retryWaitMs(policy, attempt, () => 0)),
      attempts.map(() => 250),
    );
  });

  it('gives up when the attempts are spent, where there is a limit', () => {
    const waits = { initialMs: 1, maxMs: 1 };
    assert.isFalse(isExhausted(BACKOFF, 1e9));
    assert.isFalse(isExhausted({ policy: 'constant', intervalMs: 1 }, 1e9));
    const limited: RetryPolicy[] = [
      { policy: 'constant', intervalMs: 1, attempts: 3 },
      { policy: 'suspend', attempts: 3, ...waits },
      { policy: 'dead-letter', attempts: 3, ...waits },
    ];
    for (const policy of limited) {
      assert.deepEqual(
        [1, 2, 3, 4].map((attempt) => isExhausted(policy, attempt)),
        [false, false, true, true],
      );
    }
  });
});
