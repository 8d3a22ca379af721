import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from 'chai';
import fc from 'fast-check';
import { FondacoError } from '../../core/errors.ts';
import { readExitFile, setAsideExitFile, writeExitFile, type ExitLane } from '../../recorder/exit-file.ts';
import { tempDirectory } from '../support/temp-directory.ts';

describe('recorder/exit-file', () => {
  let path: string;
  let remove: () => Promise<void>;
  beforeEach(async () => ({ path, remove } = await tempDirectory()));
  afterEach(() => remove());

  const lane = (...texts: string[]): ExitLane => ({
    row: {
      series: '0199e0c4-7b1e-7abc-8def-0123456789ab',
      settled: 3,
      settledBy: 'j',
      last: 9,
      lost: [{ first: 5, last: 6, cause: 'memory-full' }],
    },
    runs: texts.map((text, index) => ({ first: index * 10 + 1, count: 1, frames: Buffer.from(text) })),
  });

  it('gives back what was written, and makes its directory in one step', () => {
    const life = join(path, 'c', 'life');
    const lanes = { urgent: lane('one'), normal: lane('two', '', 'three') };
    writeExitFile(life, lanes);
    assert.deepEqual(readExitFile(life), lanes);
    assert.deepEqual(readdirSync(join(path, 'c')), ['life']);
    assert.deepEqual(readdirSync(life), ['exit']);
  });

  it('goes into a directory that exists, over an earlier one', () => {
    mkdirSync(join(path, 'life'));
    writeExitFile(join(path, 'life'), { urgent: lane(), normal: lane('one') });
    writeExitFile(join(path, 'life'), { urgent: lane(), normal: lane('two') });
    assert.strictEqual(readExitFile(join(path, 'life'))!.normal.runs[0]!.frames.toString(), 'two');
    assert.deepEqual(readdirSync(join(path, 'life')), ['exit']);
  });

  it('writes more runs than one writev takes', () => {
    const normal = { ...lane(), runs: Array.from({ length: 3000 }, (_, i) => ({ first: i + 1, count: 1, frames: Buffer.from(`${i}`) })) };
    writeExitFile(join(path, 'life'), { urgent: lane(), normal });
    assert.deepEqual(readExitFile(join(path, 'life'))!.normal, normal);
  });

  it('is undefined where there is none', () => {
    assert.isUndefined(readExitFile(path));
  });

  it('never takes a torn or flipped file for a whole one', () => {
    const life = join(path, 'life');
    writeExitFile(life, { urgent: lane('one'), normal: lane('two', 'three') });
    const file = join(life, 'exit');
    const whole = readFileSync(file);
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), (at, flip, isTorn) => {
        const bytes = isTorn ? whole.subarray(0, at) : Buffer.from(whole);
        if (!isTorn) bytes[at]! ^= flip;
        writeFileSync(file, bytes);
        try {
          readExitFile(life);
        } catch (error) {
          assert.instanceOf(error, FondacoError);
          assert.strictEqual(error.code, 'CORRUPT');
          return;
        }
        assert.fail('it was read');
      }),
    );
    assert.match(setAsideExitFile(life, 42), /life\.exit\.42\.corrupt$/);
    assert.isUndefined(readExitFile(life));
  });
});
