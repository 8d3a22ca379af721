import { assert } from 'chai';
import { CongestionWindow } from '../../proto/congestion-window.ts';

const KIB = 1024;
const MAX = 1000 * KIB;

describe('proto/congestion-window', () => {
  let window: CongestionWindow;

  beforeEach(() => {
    window = new CongestionWindow(MAX);
  });

  /** All of it is sent, in pieces, and answered. */
  function roundTrip(ms: number): void {
    const bytes = window.bytes;
    for (let left = bytes; left > 0; left -= 8 * KIB) window.answered(Math.min(8 * KIB, left), bytes, ms);
  }

  it('grows by a step with each round trip in time, up to its limit', () => {
    assert.strictEqual(window.bytes, 256 * KIB);
    roundTrip(999);
    const first = window.bytes;
    assert.closeTo(first, 480 * KIB, 40 * KIB);
    roundTrip(1);
    assert.closeTo(window.bytes - first, first - 256 * KIB, 32 * KIB);
    for (let i = 0; i < 10; i++) roundTrip(1);
    assert.strictEqual(window.bytes, MAX);
  });

  it('does not grow where it was not used', () => {
    for (let i = 0; i < 20; i++) window.answered(100 * KIB, 127 * KIB, 1);
    assert.strictEqual(window.bytes, 256 * KIB);
  });

  it('halves with each late answer, down to a step, which all have who share a slow proxy', () => {
    for (let i = 0; i < 10; i++) roundTrip(1);
    window.answered(10 * KIB, MAX, 1_000);
    assert.strictEqual(window.bytes, MAX / 2);
    for (let i = 0; i < 10; i++) window.answered(10 * KIB, MAX, 60_000);
    assert.strictEqual(window.bytes, 256 * KIB);
  });

  it('quarters with each failure, down to what a narrow link passes; late answers let it be so, those in time double it', () => {
    window.failed();
    assert.strictEqual(window.bytes, 64 * KIB);
    for (let i = 0; i < 9; i++) window.failed();
    assert.strictEqual(window.bytes, 16 * KIB);
    roundTrip(5_000);
    assert.strictEqual(window.bytes, 16 * KIB);
    roundTrip(500);
    assert.strictEqual(window.bytes, 32 * KIB);
  });
});
