// Packs what is published: two packages from this one tree, `fondaco` and the light `fondaco-recorder`, as tarballs in packed/.
//   node scripts/pack.mjs            builds first
//   node scripts/pack.mjs --built    packs dist/ as it is
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { npm } from './npm.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const packed = join(root, 'packed');
/** What an agent needs: the folders that recorder/ may import (test/support/import-rules.ts), and their packages. */
const LIGHT_FOLDERS = ['core', 'proto', 'journal', 'recorder'];
const LIGHT_DEPENDENCIES = ['@grpc/grpc-js', '@grpc/proto-loader', 'level', 'protobufjs'];

if (!process.argv.includes('--built')) execFileSync(process.execPath, [join(root, 'scripts', 'build.mjs')], { stdio: 'inherit' });
rmSync(packed, { recursive: true, force: true });
mkdirSync(packed);
for (const folder of [root, stageRecorder()]) {
  const { command, args } = npm(['pack', folder, '--pack-destination', packed, '--loglevel=error', '--json']);
  const [{ filename, size, unpackedSize, entryCount }] = JSON.parse(execFileSync(command, args, { cwd: root, encoding: 'utf8' }));
  console.log(`packed/${filename}: ${kib(size)}, ${kib(unpackedSize)} unpacked, ${entryCount} files`);
}

/** The light package's folder: its share of dist/, and a package.json made from ours. */
function stageRecorder() {
  const { version, license, type, engines, main, types, dependencies, exports } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  );
  const stage = join(packed, 'fondaco-recorder');
  for (const folder of LIGHT_FOLDERS) cpSync(join(root, 'dist', folder), join(stage, 'dist', folder), { recursive: true });
  cpSync(join(root, 'LICENSE'), join(stage, 'LICENSE'));
  cpSync(join(root, 'recorder', 'README.md'), join(stage, 'README.md'));
  const manifest = {
    name: 'fondaco-recorder',
    version,
    description: 'Records events and sees to it that they arrive: the recorder of Fondaco alone, for agents',
    license,
    type,
    engines,
    main,
    types,
    exports: {
      '.': exports['./recorder'],
      './testing': { types: './dist/recorder/testing.d.ts', default: './dist/recorder/testing.js' }, // without the contract of writers
      './proto/*': exports['./proto/*'],
      './package.json': './package.json',
    },
    files: ['dist'],
    dependencies: Object.fromEntries(LIGHT_DEPENDENCIES.map((name) => [name, dependencies[name]])),
  };
  writeFileSync(join(stage, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  return stage;
}

function kib(bytes) {
  return `${Math.round(bytes / 1024)} KiB`;
}
