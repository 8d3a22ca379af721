import { statfs } from 'node:fs/promises';
import { poll, shortName, type Collector } from './collector.ts';
import { Threshold } from './threshold.ts';

/** Percent of a file system that is in use. */
export type UsedPercent = (path: string) => Promise<number>;

/** host.DiskHigh (warn) when `high` percent of a path's file system are in use, host.DiskNormal (info) when it is two points below that. */
export function diskCollector(paths: readonly string[], high: number, usedPercent: UsedPercent = measure): Collector {
  return {
    name: 'disk',
    run: (parts, signal) => {
      const thresholds = new Map(paths.map((path) => [path, new Threshold(high, high - 2)]));
      const look = async (): Promise<void> => {
        for (const [path, threshold] of thresholds) {
          const used = await usedPercent(path);
          const crossing = threshold.next(used);
          if (crossing === undefined) continue;
          const [type, severity] = crossing === 'up' ? (['host.DiskHigh', 'warn'] as const) : (['host.DiskNormal', 'info'] as const);
          const message = `${used.toFixed(0)} % of the file system at ${path} is in use (limit ${high} %)`;
          const attributes = { usedPercent: Math.round(used * 10) / 10, limit: high, path };
          parts.record(type, severity, message, { object: { kind: 'FileSystem', name: shortName(path) }, attributes });
        }
      };
      return poll(look, parts, signal);
    },
  };
}

/** As `df` counts: what only root may use belongs to neither side. */
async function measure(path: string): Promise<number> {
  const { blocks, bfree, bavail } = await statfs(path);
  const used = blocks - bfree;
  return used + bavail === 0 ? 0 : (used / (used + bavail)) * 100;
}
