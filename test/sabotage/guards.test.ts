import { existsSync, readFileSync } from 'node:fs';
import { assert } from 'chai';
import { GUARDS } from './guards.ts';

describe('the guards that sabotage takes away', () => {
  const root = new URL('../../', import.meta.url);

  it('are each in their file exactly once, and have a test', () => {
    for (const { guard, file, from, test } of GUARDS) {
      assert.lengthOf(readFileSync(new URL(file, root), 'utf8').split(from), 2, `${guard}: ${file}`);
      assert.isTrue(existsSync(new URL(test, root)), `${guard}: ${test}`);
    }
  });
});
