import { randomInt } from 'node:crypto';

/** Of a test: `FONDACO_SEED`, else always the same one, so that a change alone turns it red. The long forms look at new ones. */
export const testSeed = Number(process.env.FONDACO_SEED ?? 1);

/** One that was not there before, to be printed. */
export function freshSeed(): number {
  return randomInt(2 ** 31);
}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
