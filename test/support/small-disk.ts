import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';

/** A small file system of its own, which can be filled and emptied. */
export class SmallDisk {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** Mounts one at `directory`, which is made; `undefined`, said on stderr, where that takes more rights than there are. */
  static mount(directory: string, bytes: number): SmallDisk | undefined {
    mkdirSync(directory, { recursive: true });
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'fondaco-test', directory], { encoding: 'utf8' });
    if (mounted.status === 0) return new SmallDisk(directory);
    console.warn(`      skipped: it takes root to mount a small tmpfs, got ${mounted.error?.message ?? mounted.stderr.trim()}`);
    return undefined;
  }

  /** Leaves that many bytes free, at most. */
  fill(leave = 0): void {
    const { bavail, bsize } = statfsSync(this.directory);
    appendFileSync(join(this.directory, 'ballast'), Buffer.alloc(Math.max(0, bavail * bsize - leave)));
  }

  /** Takes the filling away. */
  empty(): void {
    rmSync(join(this.directory, 'ballast'), { force: true });
  }

  unmount(): void {
    spawnSync('umount', ['-l', this.directory]);
  }
}
