import { readFileSync } from 'node:fs';

/** Private memory of a process, in KiB: resident pages that are of no file (proc(5), RssAnon). */
export function privateKiB(pid: number): number {
  return Number(/RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
}

/** What a process had written to the disk so far, in bytes (proc(5), io). */
export function writtenBytes(pid: number): number {
  return Number(/^write_bytes: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1] ?? 0);
}
