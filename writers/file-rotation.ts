/**
 * Rotated files as people know them: `events.ndjson.1` is the newest, `.2` the one before. Each step is one rename to a name that is free, so
 * a crash between two of them leaves a gap in the numbers and nothing else; the next rotation closes it. Only numbers without a gap from 1 on
 * are ours: another file of a like name is never renamed, deleted or written over.
 */
import { readdir, rename, unlink } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { syncDirectory } from './line-file.ts';

/** Gives the name free; at most `keep` files stay, the oldest are deleted. Rejects as `node:fs` does; it may then be called again. */
export async function rotate(path: string, keep: number): Promise<void> {
  const directory = dirname(path);
  let last = lastInRow(await readdir(directory), `${basename(path)}.`);
  for (; last >= keep; last--) await unlink(`${path}.${last}`);
  for (; last >= 1; last--) await rename(`${path}.${last}`, `${path}.${last + 1}`);
  await rename(path, `${path}.1`);
  await syncDirectory(directory);
}

/** The number before the first that is free. */
function lastInRow(names: readonly string[], prefix: string): number {
  const taken = new Set(names);
  let last = 0;
  while (taken.has(`${prefix}${last + 1}`)) last++;
  return last;
}
