/**
 * Takes away one guard at a time, in a copy of the tree, and looks whether the test that is named for it turns red.
 *   npm run sabotage                          exits with 1 when a test stays green, or is red with the guard in place
 *   npm run sabotage -- --only <text>… | --json
 */
import Table from 'cli-table3';
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { GUARDS, type Guard } from './guards.ts';

const LIMIT_MS = 180_000;
const root = fileURLToPath(new URL('../..', import.meta.url));

interface Verdict {
  readonly guard: string;
  readonly file: string;
  readonly test: string;
  /** The test's failures that name it, the first of them; undefined where it stayed green. */
  readonly red: string | undefined;
}

/** A copy of the tree that may be damaged. */
class Copy {
  readonly folder: string;

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'fondaco-sabotage-'));
    const files = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' }).split('\0').filter(Boolean);
    for (const file of files) {
      mkdirSync(dirname(join(this.folder, file)), { recursive: true });
      cpSync(join(root, file), join(this.folder, file));
    }
    symlinkSync(join(root, 'node_modules'), join(this.folder, 'node_modules'));
  }

  /** Resolves with the name of the first failed test; undefined when all passed. Rejects when it fails without a failed test. */
  async redWithout({ file, from, to, test, grep }: Guard): Promise<string | undefined> {
    const path = join(this.folder, file);
    const whole = readFileSync(path, 'utf8');
    if (whole.split(from).length !== 2)
      throw new Error(`${file} must have ${JSON.stringify(from)} exactly once: bring test/sabotage/guards.ts in step`);
    writeFileSync(
      path,
      whole.replace(from, () => to),
    );
    try {
      return await this.red(test, grep);
    } finally {
      writeFileSync(path, whole);
    }
  }

  red(test: string, grep?: string): Promise<string | undefined> {
    const args = [
      'node_modules/mocha/bin/mocha.js',
      '--reporter',
      'json',
      '--exit',
      '--bail',
      ...(grep === undefined ? [] : ['--grep', grep]),
      test,
    ];
    const env = { ...process.env, FONDACO_SEED: '1', FORCE_COLOR: '0' };
    const child = spawn(process.execPath, args, { cwd: this.folder, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    let out = '';
    let errors = '';
    child.stdout.on('data', (data: Buffer) => (out += data.toString()));
    child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
    return new Promise((resolve, reject) => {
      let isHung = false;
      const limit = setTimeout(() => {
        isHung = true;
        process.kill(-child.pid!, 'SIGKILL');
      }, LIMIT_MS);
      child.once('error', reject);
      child.once('close', (code) => {
        clearTimeout(limit);
        const failed = failedTest(out);
        if (isHung) resolve(`${test} hangs: it still runs after ${LIMIT_MS / 1000} s`);
        else if (code === 0 || failed !== undefined) resolve(failed);
        else reject(new Error(`${test} ends without a failed test, code ${code}: ${errors.trim().split('\n').at(-1)}`));
      });
    });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function failedTest(out: string): string | undefined {
  try {
    const { failures } = JSON.parse(out.slice(out.indexOf('{\n'))) as { failures: { fullTitle: string }[] };
    return failures[0]?.fullTitle;
  } catch {
    return undefined;
  }
}

const { values } = parseArgs({ options: { only: { type: 'string', multiple: true }, json: { type: 'boolean', default: false } } });
const guards = GUARDS.filter(({ guard, file }) => values.only?.some((text) => guard.includes(text) || file.includes(text)) ?? true);
const problems: string[] = [];
const verdicts: Verdict[] = [];
const copies = Array.from({ length: availableParallelism() }, () => new Copy());
const say = (text: string): void => void (values.json || console.error(text));

/** Each item once, one copy at a time for each. */
async function forEach<T>(items: readonly T[], run: (copy: Copy, item: T) => Promise<void>): Promise<void> {
  const rest = [...items];
  await Promise.all(
    copies.map(async (copy) => {
      for (let item = rest.shift(); item !== undefined; item = rest.shift()) await run(copy, item);
    }),
  );
}

try {
  await forEach([...new Set(guards.map(({ test }) => test))], async (copy, test) => {
    const red = await copy.red(test);
    if (red !== undefined) problems.push(`${test} is red with every guard in place: ${red}`);
  });
  await forEach(guards, async (copy, guard) => {
    const red = await copy.redWithout(guard);
    verdicts.push({ guard: guard.guard, file: guard.file, test: guard.test, red });
    say(`${verdicts.length}/${guards.length} ${red === undefined ? 'GREEN' : 'red'}: ${guard.guard}`);
  });
} finally {
  for (const copy of copies) copy.remove();
}
for (const { guard, test, red } of verdicts) if (red === undefined) problems.push(`${test} stays green without: ${guard}`);

if (values.json) console.log(JSON.stringify({ verdicts, problems }, undefined, 2));
else {
  const table = new Table({
    head: ['guard taken away', 'in', 'test that turns red'],
    style: { head: [], border: [] },
    wordWrap: true,
    colWidths: [45, 42, 70],
  });
  for (const { guard, file, red } of verdicts) table.push([guard, file, red ?? 'NONE']);
  console.log(table.toString());
  for (const problem of problems) console.log(problem);
  console.log(`${verdicts.filter(({ red }) => red !== undefined).length} of ${guards.length} guards: their test turns red`);
}
process.exit(problems.length === 0 ? 0 : 1);
