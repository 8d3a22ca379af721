/**
 * Tells when a config file may have changed. Its folder is watched, not the file: editors put another file in its place, and where Kubernetes
 * mounts a ConfigMap, nothing happens but that the link `..data` beside it is swapped. Where the file itself is a link, the folder that it leads to
 * is watched, too.
 */
import { realpath } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { watch } from 'chokidar';
import { asError } from '../core/errors.ts';

/** Kubernetes' link to the present content of a mounted volume, and the folders that it leads to, begin so. */
const MOUNTED = '..';

/** Calls `changed` at the beginning and for everything that happens there, and `failed` where the folder cannot be watched, until `signal` is aborted. */
export async function watchConfig(
  file: string,
  { changed, failed }: { readonly changed: () => void; readonly failed: (error: Error) => void },
  signal: AbortSignal,
): Promise<void> {
  const target = await realpath(file).catch(() => file);
  const folders = new Set([dirname(file), dirname(target)]);
  const names = new Set([basename(file), basename(target)]);
  const isOurs = (path: string): boolean => folders.has(path) || names.has(basename(path)) || basename(path).startsWith(MOUNTED);
  const watcher = watch([...folders], { ignoreInitial: true, followSymlinks: false, depth: 0, ignored: (path) => !isOurs(path) });
  // Also when it is ready: what happened since the file was read would else be missed.
  watcher
    .on('all', changed)
    .on('ready', changed)
    .on('error', (error) => failed(asError(error)));
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await watcher.close();
}
