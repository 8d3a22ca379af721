// Runs the fast tests, and the source without tsx, on Node 24: its binary comes from npm, into a folder of its own (.node24).
//   node scripts/node24.mjs
//   node scripts/node24.mjs --path     only prints where that binary is
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { npm } from './npm.mjs';

const VERSION = '24.21.0';
const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, '.node24');
const name = `node-${process.platform}-${process.arch}`;
const node = join(folder, 'node_modules', name, 'bin', 'node');

if (!existsSync(node)) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
  console.error(`installing ${name} ${VERSION} …`);
  const { command, args } = npm(['install', '--no-audit', '--no-fund', '--ignore-scripts', `${name}@${VERSION}`]);
  run(command, args, folder, ['ignore', 2, 2]);
}
if (process.argv.includes('--path')) {
  console.log(node);
  process.exit();
}

console.log(`\n── Node 24: the source as it is`);
run(node, [join(root, 'cli', 'main.ts'), '--version'], root);
console.log(`\n── Node 24: fast tests`);
const mocha = join(root, 'node_modules', 'mocha', 'bin', 'mocha.js');
const options =
  `--parallel --jobs ${availableParallelism()} --forbid-only --reporter dot --ignore test/system/** --ignore test/faults/**`.split(' ');
run(node, [mocha, ...options, 'test'], root);

/** Ends this process with the code of what fails. */
function run(program, args, cwd, stdio = 'inherit') {
  const { status, error } = spawnSync(program, args, { cwd, stdio });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}
