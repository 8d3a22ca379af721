import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { asError } from '../core/errors.ts';
import { lockDirectory, type Lock } from '../journal/directory-lock.ts';
import { durationMs } from '../writers/settings.ts';

/** What `npm start -- …` can be told. */
export interface StartSettings {
  /** Journal, spool, record and config; absolute. Undefined: the default. */
  readonly data: string | undefined;
  readonly folder: string | undefined;
  readonly record: string | undefined;
  readonly intervalMs: number;
  readonly pauseMs: number;
  /** As the proxy's config takes it. */
  readonly dedupInterval: string;
  readonly load: number;
  readonly memory: number;
  readonly disk: number;
}

interface Flags {
  data?: string;
  folder?: string;
  record?: string;
  interval: string;
  pause: string;
  dedup: string;
  load: number;
  memory: number;
  disk: number;
}

/** Reads the command line. Paths are taken from `cwd`. Ends the process with a message for what is wrong, and for --help. */
export function readSettings(args: readonly string[], cwd: string): StartSettings {
  const command = new Command('npm start --')
    .description('An agent records what happens on this machine, a proxy keeps it, a subscriber shows it. Ctrl-C ends it.')
    .option('--folder <path>', 'the watched folder (default: one that is made)')
    .option('--record <file>', 'where the subscriber writes down what arrives (default: received.ndjson in the data folder)')
    .option('--data <path>', 'journal, spool and record (default: ./data/start, or a temporary one if that is in use)')
    .option(
      '--interval <duration>',
      'how often the agent looks at processes, interfaces, load, memory and disks',
      duration('50ms', '1h'),
      '500ms',
    )
    .option('--pause <duration>', 'before a process that has ended is started again', duration('0s', '1h'), '4s')
    .option('--dedup <duration>', 'how long equal events are folded into one; 0s for never', duration('0s', '1d'), '10s')
    .option('--load <number>', 'an event when the load of a core reaches this', positive, 1)
    .option('--memory <percent>', '… or the memory in use', positive, 90)
    .option('--disk <percent>', '… or the disk in use', positive, 90)
    .allowExcessArguments(false)
    .parse(args, { from: 'user' });
  const { data, folder, record, interval, pause, dedup, load, memory, disk } = command.opts<Flags>();
  const path = (given: string | undefined): string | undefined => (given === undefined ? undefined : resolve(cwd, given));
  return {
    data: path(data),
    folder: path(folder),
    record: path(record),
    intervalMs: durationMs(interval)!,
    pauseMs: durationMs(pause)!,
    dedupInterval: dedup,
    load,
    memory,
    disk,
  };
}

/** Where a run of `npm start` keeps what it keeps; ours until it is released. */
export interface StartFolders {
  readonly data: string;
  readonly folder: string;
  readonly record: string;
  readonly lock: Lock;
  /** Why it is not the default folder, if it is not. */
  readonly because: string | undefined;
}

/** Makes the folders and takes them. Without `--data` a temporary one serves where ./data/start cannot be had. */
export async function takeFolders({ data, folder, record }: StartSettings, root: string): Promise<StartFolders> {
  const holder = `npm start, process ${process.pid}`;
  let taken = data ?? join(root, 'data', 'start');
  let because: string | undefined;
  let lock: Lock;
  try {
    lock = await lockDirectory(taken, holder);
  } catch (error) {
    if (data !== undefined) throw error;
    because = asError(error).message;
    taken = await mkdtemp(join(tmpdir(), 'fondaco-start-'));
    lock = await lockDirectory(taken, holder);
  }
  await lock.putName();
  const folders = {
    data: taken,
    folder: folder ?? join(taken, 'watched'),
    record: record ?? join(taken, 'received.ndjson'),
    lock,
    because,
  };
  await mkdir(folders.folder, { recursive: true });
  return folders;
}

function duration(min: string, max: string): (text: string) => string {
  return (text) => {
    const ms = durationMs(text);
    if (ms === undefined || ms < durationMs(min)! || ms > durationMs(max)!) {
      throw new InvalidArgumentError(`It must be a duration from ${min} to ${max}, such as 2s.`);
    }
    return text;
  };
}

function positive(text: string): number {
  const number = Number(text);
  if (!(number > 0 && Number.isFinite(number))) throw new InvalidArgumentError('It must be a number above 0.');
  return number;
}
