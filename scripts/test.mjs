// Runs the legs of the suite one after the other, each to its end, and closes with the line that CI reads: "N passed, N failed".
//   node scripts/test.mjs           format, types, lint, fast tests, build, system tests (of the built program)
//   node scripts/test.mjs --fast    … without the build and the system tests
// Test files run in parallel, one a core; each has its own folders and ports.
// N counts mocha's tests over all legs; a leg that fails without naming a failed test (format, types, lint, a crash, a hang) counts as one failed.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const counts = mkdtempSync(join(tmpdir(), 'fondaco-test-'));
const MINUTE_MS = 60_000;
const PARALLEL = ['--parallel', '--jobs', String(availableParallelism())];

const legs = usualLegs();

const failedLegs = [];
const total = { passed: 0, failed: 0 };
for (const leg of legs) {
  const started = Date.now();
  console.log(`\n── ${leg.name}`);
  const problem = await run(leg);
  const { passes, failures } = readCounts(leg);
  total.passed += passes;
  total.failed += problem !== undefined && failures === 0 ? 1 : failures;
  if (problem !== undefined) failedLegs.push(`${leg.name} (${problem})`);
  else console.log(`── ${leg.name}: ok in ${((Date.now() - started) / 1000).toFixed(1)} s`);
}
rmSync(counts, { recursive: true, force: true });
console.log(failedLegs.length === 0 ? '' : `\nfailed: ${failedLegs.join(', ')}\n`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;

function usualLegs() {
  const usual = [
    { name: 'format', program: 'prettier/bin/prettier.cjs', args: ['--check', '--log-level=warn', '.'], limitMs: 5 * MINUTE_MS },
    { name: 'types', program: 'typescript/bin/tsc', args: [], limitMs: 5 * MINUTE_MS },
    { name: 'lint', program: 'eslint/bin/eslint.js', args: ['.'], limitMs: 10 * MINUTE_MS },
    mochaLeg('fast tests', [...PARALLEL, '--ignore', 'test/system/**', '--ignore', 'test/faults/**', 'test'], 10 * MINUTE_MS),
  ];
  if (process.argv.includes('--fast')) return usual;
  return [
    ...usual,
    { name: 'build', program: '../scripts/build.mjs', args: [], limitMs: 5 * MINUTE_MS },
    {
      ...mochaLeg('system tests', [...PARALLEL, '--timeout', '60000', 'test/system', 'test/faults'], 30 * MINUTE_MS),
      env: { FONDACO_TEST_PROGRAM: 'dist/cli/main.js' },
    },
  ];
}

function mochaLeg(name, args, limitMs) {
  const countsFile = join(counts, `${name}.json`);
  return {
    name,
    program: 'mocha/bin/mocha.js',
    args: ['--forbid-only', '--reporter', 'test/support/reporter.ts', ...args],
    limitMs,
    countsFile,
  };
}

/** Resolves with what went wrong in words, or undefined. */
function run(leg) {
  const program = join(root, 'node_modules', leg.program);
  const env = { ...process.env, ...leg.env, ...(leg.countsFile === undefined ? {} : { FONDACO_TEST_COUNTS: leg.countsFile }) };
  return new Promise((resolve) => {
    // A process group of its own: mocha runs the tests in a child, which has to go with it.
    const child = spawn(process.execPath, [program, ...leg.args], { cwd: root, env, stdio: 'inherit', detached: true });
    const end = (signal) => {
      try {
        process.kill(-child.pid, signal);
      } catch {
        // Already gone.
      }
    };
    const interrupted = (signal) => {
      end(signal);
      process.exit(130);
    };
    process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
    let problem;
    const limit = setTimeout(() => {
      problem = `still running after ${leg.limitMs / MINUTE_MS} minutes: a test hangs, or something it left open keeps the process alive`;
      end('SIGKILL');
    }, leg.limitMs);
    const settle = (text) => {
      clearTimeout(limit);
      process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
      resolve(text);
    };
    child.once('error', (error) => settle(error.message));
    child.once('close', (code, signal) =>
      settle(problem ?? (code === 0 ? undefined : signal === null ? `exit code ${code}` : `ended by ${signal}`)),
    );
  });
}

function readCounts(leg) {
  if (leg.countsFile === undefined || !existsSync(leg.countsFile)) return { passes: 0, failures: 0 };
  return JSON.parse(readFileSync(leg.countsFile, 'utf8'));
}
