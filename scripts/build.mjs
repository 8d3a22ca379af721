// Builds the package into dist/: plain tsc, then what tsc does not carry over.
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');

rmSync(dist, { recursive: true, force: true });
const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
const compiled = spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json')], { cwd: root, stdio: 'inherit' });
if (compiled.status !== 0) process.exit(compiled.status ?? 1);

// tsc rewrites the endings of imports in the code only; compilers older than ours do not take them in declarations.
for (const name of readdirSync(dist, { recursive: true }).filter((file) => file.endsWith('.d.ts'))) {
  const file = join(dist, name);
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replace(/((?:from |import\()'\.[^']*)\.ts'/g, "$1.js'"));
}

const protos = existsSync(join(root, 'proto')) ? readdirSync(join(root, 'proto'), { recursive: true }) : [];
for (const file of protos.filter((name) => name.endsWith('.proto'))) cpSync(join(root, 'proto', file), join(dist, 'proto', file));

const main = join(dist, 'cli', 'main.js');
if (existsSync(main)) chmodSync(main, 0o755);
