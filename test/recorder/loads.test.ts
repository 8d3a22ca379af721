import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { assert } from 'chai';
import { tempDirectory } from '../support/temp-directory.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LIST = fileURLToPath(new URL('../support/loaded-modules.mjs', import.meta.url));

const RUNS_THE_TEST = new Set(['tsx', 'esbuild']);

describe('fondaco/recorder, in an agent', function () {
  this.timeout(20_000);

  it('loads only core, proto, journal and recorder of ours, no protobuf library, and no LevelDB before the first spill', async () => {
    const { path, remove } = await tempDirectory();
    try {
      const loaded = run(path);
      const before = loaded.before.filter((name) => name !== 'journal/make-directory.ts'); // which is all by itself
      assert.deepEqual([...new Set(before.map(folderOf))].sort(), ['core', 'proto', 'recorder']);
      const packages = loaded.packages.filter((name) => !RUNS_THE_TEST.has(name));
      assert.sameMembers(packages, ['@grpc/grpc-js', '@js-sdsl/ordered-map'], 'packages loaded before the first spill');
      assert.isTrue(loaded.after.includes('journal/level-journal.ts'), 'the first spill loads the journal');
    } finally {
      await remove();
    }
  });
});

interface Loaded {
  /** Modules of ours, before and after the first spill. */
  readonly before: readonly string[];
  readonly after: readonly string[];
  /** Packages that were loaded before it. */
  readonly packages: readonly string[];
}

function run(directory: string): Loaded {
  const text = execFileSync(process.execPath, ['--import', 'tsx', LIST, directory], { cwd: ROOT, encoding: 'utf8' });
  return JSON.parse(text.trim().split('\n').at(-1)!) as Loaded;
}

function folderOf(module: string): string {
  return module.split('/')[0]!;
}
