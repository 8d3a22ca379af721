/** Destinations on the proxy's own machine: a file, its stdout, a module that somebody else wrote. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync, copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pause } from '../../support/pause.ts';
import type { Child } from '../../support/processes.ts';
import { SmallDisk } from '../../support/small-disk.ts';
import { arrivedNative, type Arrived } from './arrived.ts';
import { TWO_BATCHES, WRITE_MS, type Place } from './place.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const AT_LEAST_ONCE = { rule: 'at least once', inFlight: TWO_BATCHES } as const;
const DISK_BYTES = 64 * 1024 * 1024;
/** Not enough for a batch. */
const LEFT_BYTES = 8 * 1024;
const IN_PART_MS = 300;
const STILL_MS = WRITE_MS + 1000;

/** On a disk of its own that can be filled, where that is what the table asks for and we may mount one. */
export async function openFile(name: string, { folder, isFilled }: { folder: string; isFilled: boolean }): Promise<Place> {
  const disk = isFilled ? SmallDisk.mount(join(folder, 'small'), DISK_BYTES) : undefined;
  const file = join(disk?.directory ?? folder, 'events.ndjson');
  const takeInPart = async (): Promise<void> => {
    try {
      disk!.fill(LEFT_BYTES);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error; // the writer was quicker: it is full
    }
    await pause(IN_PART_MS);
    disk!.empty();
  };
  return {
    ...AT_LEAST_ONCE,
    name,
    yaml: `kind: file, path: '${file}'`,
    ...(disk && { takeInPart }),
    arrived: async () => nativeLines(existsSync(file) ? readFileSync(file, 'utf8') : ''),
    close: async () => disk?.unmount(),
  };
}

/** Whoever reads the proxy's stdout. */
export async function openConsole(name: string): Promise<Place> {
  const proxies: Child[] = [];
  return {
    ...AT_LEAST_ONCE,
    name,
    yaml: 'kind: console, format: json',
    standStill: async () => {
      const { stdout } = proxies.at(-1)!.process;
      stdout!.pause();
      await pause(STILL_MS);
      stdout!.resume();
    },
    proxyStarted: (proxy) => void proxies.push(proxy),
    arrived: async () => proxies.flatMap(({ stdout }) => nativeLines(stdout)),
    close: async () => undefined,
  };
}

/** examples/module-writer.js as a user has it: in a folder of his own, with `fondaco` installed. It takes no type longer than 100 characters. */
export async function openModule(name: string, folder: string): Promise<Place> {
  const home = join(folder, 'module');
  const types = join(home, 'types');
  mkdirSync(join(home, 'node_modules'), { recursive: true });
  copyFileSync(join(ROOT, 'examples/module-writer.js'), join(home, 'module-writer.js'));
  writeFileSync(join(home, 'package.json'), '{ "type": "module" }');
  symlinkSync(ROOT, join(home, 'node_modules/fondaco'));
  symlinkSync(join(ROOT, 'node_modules/zod'), join(home, 'node_modules/zod'));
  return {
    ...AT_LEAST_ONCE,
    name,
    yaml: `kind: module, module: '${join(home, 'module-writer.js')}', settings: { directory: '${types}' }, timeout: ${WRITE_MS}ms`,
    takeInPart: async () => blocked(join(types, 'test.Skipped.ndjson')),
    arrived: async () => readdirSync(types).flatMap((file) => linesOf(types, file)),
    close: async () => undefined,
  };
}

/** A directory stands where a file was: what is of other types is written, until the first of this one. */
async function blocked(file: string): Promise<void> {
  const aside = `${file}.aside`;
  if (!existsSync(file)) return;
  renameSync(file, aside);
  mkdirSync(file);
  await pause(IN_PART_MS);
  rmSync(file, { recursive: true });
  renameSync(aside, file);
}

/** The module tells id, seq and message, by type. */
function linesOf(folder: string, file: string): Arrived[] {
  const type = file.replace(/\.ndjson$/, '');
  return wholeLines(readFileSync(join(folder, file), 'utf8')).map((text) => {
    const { id, message } = JSON.parse(text) as { id: string; message: string };
    return { id, type, message, lane: type === 'test.Critical' ? 'urgent' : 'normal', order: type, text };
  });
}

function nativeLines(text: string): Arrived[] {
  return wholeLines(text)
    .filter((line) => line.includes('"delivery":'))
    .map(arrivedNative);
}

/** Without what a kill has left of the last one. */
function wholeLines(text: string): string[] {
  return text.split('\n').slice(0, -1);
}
