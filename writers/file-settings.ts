/** What a writer of kind `file` may be told. */
import { realpathSync } from 'node:fs';
import { access, constants, lstat, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { asError } from '../core/errors.ts';
import { duration, filePath, leaf, oneOf, section, size, wholeNumber, type SettingProblem } from './settings.ts';

export const fileSettings = z.strictObject({
  /** Absolute, or relative to the config. Its directory must be there. */
  path: filePath('the path of a file'),
  /** Native JSON, one event a line. */
  format: oneOf('ndjson').default('ndjson'),
  /** Permissions of files that it makes, whatever the umask. Without quotes YAML would take 0640 for 640. */
  mode: leaf("file permissions in quotes, such as '0640'", { type: 'string', pattern: '^0?[0-7]{3}$' }, (value) =>
    typeof value === 'string' && /^0?[0-7]{3}$/.test(value) ? Number.parseInt(value, 8) : undefined,
  ).default(0o640),
  /** Without it the file grows, or somebody else rotates it. */
  rotate: section({
    /** A file is no larger, unless by a single batch. */
    bytesMax: size({ min: '1KiB', max: '1TiB' }).optional(),
    /** A file holds what was written within one such span; spans are counted from 1970 in UTC, so that `1d` ends at midnight. */
    interval: duration({ min: '1m', max: '366d' }).optional(),
    /** So many files stay beside the current one; the oldest is deleted. */
    keep: wholeNumber({ min: 1, max: 10_000 }),
  }).optional(),
});

export type FileSettings = z.output<typeof fileSettings>;

/** What is wrong with settings that are right one by one. */
export function fileProblems({ rotate }: FileSettings): SettingProblem[] {
  const isIdle = rotate && rotate.bytesMax === undefined && rotate.interval === undefined;
  return isIdle ? [{ key: ['rotate'], message: 'must have bytesMax, interval or both' }] : [];
}

/** What keeps the file from being written at this moment. */
export async function fileProbe({ path }: FileSettings, directory: string): Promise<SettingProblem[]> {
  const file = resolve(directory, path);
  const folder = await stat(dirname(file)).catch(() => undefined);
  if (folder?.isDirectory() === false) return [{ key: ['path'], message: `must be in a directory, ${dirname(file)} is none` }];
  if (!folder) return [{ key: ['path'], message: `must be in a directory that is there, ${dirname(file)} is not: make it` }];
  try {
    await access(dirname(file), constants.W_OK | constants.X_OK);
    const there = await lstat(file).catch(() => undefined);
    if (there && !there.isFile()) return [{ key: ['path'], message: `must be a regular file, ${file} is none` }];
    if (there) await access(file, constants.R_OK | constants.W_OK);
    return [];
  } catch (error) {
    return [{ key: ['path'], message: `must be a file that can be written, ${asError(error).message}` }];
  }
}

/** The file by its one name, with the numbers of rotated ones taken off: what only one writer may have. */
export function ownFile({ path }: FileSettings, directory: string): string {
  const file = resolve(directory, path);
  try {
    return unnumbered(join(realpathSync(dirname(file)), basename(file)));
  } catch {
    return unnumbered(file); // its directory is not there yet
  }
}

function unnumbered(path: string): string {
  return path.replace(/(\.\d+)+$/, '');
}
