import { fileURLToPath } from 'node:url';

const ROOT = new URL('../..', import.meta.url);
const TSX = import.meta.resolve('tsx');

/**
 * What Node is given to run `fondaco`: the source through tsx, or the built program that FONDACO_TEST_PROGRAM names (relative to the
 * repository's root), which starts in a third of the time; scripts/test.mjs builds it before it says so.
 */
export function programArgs(): string[] {
  const built = process.env.FONDACO_TEST_PROGRAM;
  return built === undefined ? ['--import', TSX, fileURLToPath(new URL('cli/main.ts', ROOT))] : [fileURLToPath(new URL(built, ROOT))];
}
