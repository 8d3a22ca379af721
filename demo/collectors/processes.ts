import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { poll, type Collector, type RecordEvent } from './collector.ts';

/** A process that is there. Only its name: a whole command line may hold secrets. */
export interface FoundProcess {
  readonly name: string;
  readonly pid: number;
  readonly parent: number;
}

/** How to look: all pids, and what one of them is (`undefined`: gone, or not to be told of). */
export interface ProcessTable {
  readonly pids: () => number[];
  readonly find: (pid: number) => FoundProcess | undefined;
}

/** Told one by one at each look; more than that (a build, a fork bomb) become one event with their number. */
const TOLD_MAX = 50;
/** PF_KTHREAD in the ninth field of /proc/<pid>/stat (linux/sched.h). */
const KERNEL_THREAD = 0x0020_0000;

/**
 * process.Started and process.Ended (info); process.Many (info) for what was too much to tell. What is there at the start is no event, and
 * what comes and goes between two looks is not seen. A pid is taken for the same process as long as it is there at every look.
 */
export function processCollector(table: ProcessTable = procTable()): Collector {
  return {
    name: 'processes',
    run: async (parts, signal) => {
      let known = new Map<number, FoundProcess | undefined>(table.pids().map((pid) => [pid, table.find(pid)]));
      const look = (): void => {
        const found = new Map<number, FoundProcess | undefined>();
        const started: FoundProcess[] = [];
        for (const pid of table.pids()) {
          const process = known.has(pid) ? known.get(pid) : table.find(pid);
          if (process && !known.has(pid)) started.push(process);
          found.set(pid, process);
        }
        const ended = [...known.values()].filter((process) => process !== undefined && !found.has(process.pid)) as FoundProcess[];
        known = found;
        tell(started, ended, parts.record);
      };
      return poll(look, parts, signal);
    },
  };
}

function tell(started: readonly FoundProcess[], ended: readonly FoundProcess[], record: RecordEvent): void {
  for (const process of started.slice(0, TOLD_MAX))
    record('process.Started', 'info', `${process.name} started (pid ${process.pid})`, details(process));
  for (const process of ended.slice(0, TOLD_MAX))
    record('process.Ended', 'info', `${process.name} ended (pid ${process.pid})`, details(process));
  const more = { started: Math.max(0, started.length - TOLD_MAX), ended: Math.max(0, ended.length - TOLD_MAX) };
  if (more.started + more.ended === 0) return;
  record('process.Many', 'info', `${more.started} more started and ${more.ended} more ended at once`, { attributes: more });
}

function details({ name, pid, parent }: FoundProcess): {
  object: { kind: string; name: string };
  attributes: { pid: number; parent: number };
} {
  return { object: { kind: 'Process', name }, attributes: { pid, parent } };
}

/** Linux' /proc. Throws where there is none. */
function procTable(): ProcessTable {
  return {
    pids: () =>
      readdirSync('/proc')
        .filter((name) => /^\d+$/.test(name))
        .map(Number),
    find: (pid) => {
      try {
        return readProcess(pid);
      } catch {
        return undefined; // gone between the listing and now
      }
    },
  };
}

/** `pid (name) state parent … flags …` (proc(5)); the name may hold blanks and brackets, so the last bracket ends it. */
function readProcess(pid: number): FoundProcess | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const end = stat.lastIndexOf(')');
  const [, parent = '0', , , , , flags = '0'] = stat.slice(end + 2).split(' ');
  if ((Number(flags) & KERNEL_THREAD) !== 0) return undefined;
  if (Number(parent) === process.pid) return undefined; // the agent's own tools are no news
  return { name: fullName(pid, stat.slice(stat.indexOf('(') + 1, end)), pid, parent: Number(parent) };
}

/** The kernel keeps 15 bytes of a name; the rest is taken from the command line where that begins alike. */
function fullName(pid: number, name: string): string {
  if (Buffer.byteLength(name) < 15) return name.trim();
  const program = basename(readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0] ?? '');
  // A program that has given itself a title has put blanks there.
  return program.startsWith(name) && /^\S{1,80}$/.test(program) ? program : name.trim();
}
