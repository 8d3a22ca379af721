import { assert } from 'chai';
import { Threshold } from '../../demo/collectors/threshold.ts';

describe('Threshold', () => {
  function crossings(values: readonly number[]): (string | undefined)[] {
    const threshold = new Threshold(90, 85);
    return values.map((value) => threshold.next(value));
  }

  it('tells a crossing once, however long it lasts', () => {
    assert.deepEqual(crossings([10, 90, 95, 99, 90]), [undefined, 'up', undefined, undefined, undefined]);
  });

  it('is back only below the lower limit', () => {
    assert.deepEqual(crossings([91, 89, 85, 84.9, 89]), ['up', undefined, undefined, 'down', undefined]);
  });

  it('tells a value that trembles at the limit once', () => {
    assert.deepEqual(crossings([89, 90, 89, 90, 89, 90]).filter(Boolean), ['up']);
  });
});
