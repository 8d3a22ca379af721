import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { assert } from 'chai';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const RUNS_THE_TEST = new Set(['tsx', 'esbuild']);
const READS_THE_COMMAND_LINE = ['commander'];
const ALIGNS_COLUMNS = ['cli-table3', 'string-width', 'strip-ansi', 'ansi-regex', 'is-fullwidth-code-point', 'emoji-regex'];
const ASKS = [...READS_THE_COMMAND_LINE, ...ALIGNS_COLUMNS];
const NOWHERE = ['--api', 'http://127.0.0.1:1'];

/** What verbs that are typed all day may load, and must wait for. */
const verbs: [args: string[], packages: string[]][] = [
  [['--help'], READS_THE_COMMAND_LINE],
  [['status', ...NOWHERE], ASKS],
  [['dead-letter', 'replay', '--all', ...NOWHERE], ASKS],
];

describe('the command line', function () {
  this.timeout(30_000);

  for (const [args, packages] of verbs) {
    it(`loads for fondaco ${args.join(' ')} no more packages than it needs, and nothing of a proxy`, async () => {
      const loaded = await run(args);
      assert.sameMembers(
        loaded.packages.filter((name) => !RUNS_THE_TEST.has(name)),
        packages,
      );
      assert.deepEqual(
        loaded.ours.filter((path) => path.startsWith('proxy/')),
        [],
      );
      assert.notInclude(loaded.builtins, 'node:https', 'TLS takes longer to load than all the rest of a verb');
    });
  }
});

interface Loaded {
  readonly ours: readonly string[];
  readonly packages: readonly string[];
  readonly builtins: readonly string[];
}

async function run(args: readonly string[]): Promise<Loaded> {
  const child = spawn(process.execPath, ['--import', 'tsx', '--import', './test/support/report-modules.mjs', 'cli/main.ts', ...args], {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const [stderr] = await Promise.all([text(child.stderr), once(child, 'close')]);
  return JSON.parse(stderr.trim().split('\n').at(-1)!) as Loaded;
}
