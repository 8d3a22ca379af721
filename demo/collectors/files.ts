import { basename, relative } from 'node:path';
import { watch } from 'chokidar';
import { shortName, type Collector } from './collector.ts';

/** Folders below this depth are not watched: somebody may name his whole disk. */
const DEPTH_MAX = 8;

const KINDS = {
  add: { type: 'file.Added', verb: 'was added' },
  change: { type: 'file.Changed', verb: 'was changed' },
  unlink: { type: 'file.Removed', verb: 'was removed' },
} as const;

/** file.Added, file.Changed, file.Removed (info) of what happens in a folder and below. What is there at the start is no event. */
export function fileCollector(folder: string): Collector {
  return {
    name: 'files',
    run: async ({ record }, signal) => {
      if (signal.aborted) return;
      const watcher = watch(folder, { ignoreInitial: true, followSymlinks: false, depth: DEPTH_MAX, ignorePermissionErrors: true });
      for (const happened of ['add', 'change', 'unlink'] as const) {
        const { type, verb } = KINDS[happened];
        watcher.on(happened, (path) => {
          const within = relative(folder, path);
          record(type, 'info', `${shortName(within)} ${verb}`, {
            object: { kind: 'File', name: shortName(basename(path)) },
            attributes: { path: within, folder },
          });
        });
      }
      try {
        await new Promise<void>((resolve, reject) => {
          watcher.on('error', reject); // such as ENOSPC: no watches left
          signal.addEventListener('abort', () => resolve(), { once: true });
        });
      } finally {
        await watcher.close();
      }
    },
  };
}
