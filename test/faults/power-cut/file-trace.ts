/**
 * What a process did to the files of a folder, in order, as strace saw it, with marks that the process wrote between: a mark is a line in a
 * file outside of the folder, so that what a process told others is ordered against what it had synced.
 *
 * A call that another one overtook counts when it returned; a sync covers what had returned when it began.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';

/** Paths are relative to the folder; '' is the folder itself. */
export type FileOperation =
  | { readonly kind: 'create' | 'makeDirectory' | 'remove'; readonly path: string }
  | { readonly kind: 'write'; readonly path: string; /** -1: at the end. */ readonly at: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly path: string; readonly size: number }
  | { readonly kind: 'rename' | 'link'; readonly path: string; readonly to: string }
  | { readonly kind: 'syncBegins' | 'synced'; readonly path: string; readonly call: number }
  | { readonly kind: 'mark'; readonly text: string };

export interface TracedRun {
  readonly folder: string;
  /** The file that marks are written to: one write a mark. */
  readonly marks: string;
  /** What Node is given. */
  readonly args: readonly string[];
}

const CALLS =
  'open,openat,creat,write,pwrite64,writev,pwritev,pwritev2,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,link,linkat,' +
  'symlink,symlinkat,ftruncate,truncate,fallocate,fsync,fdatasync,sync_file_range,copy_file_range,sendfile,mmap,io_uring_setup';
/** No write of a store is larger: a commit's record. */
const STRING_BYTES = 8 * 1024 * 1024;

/** Whether strace is there and allowed to look. */
export function canTrace(): boolean {
  return spawnSync('strace', ['-f', '--seccomp-bpf', '-o', '/dev/null', 'true'], { stdio: 'ignore' }).status === 0;
}

/** Runs Node under strace; resolves with what it did when it has ended, in whatever way, and with what it said on stderr. */
export async function traceFiles({ folder, marks, args }: TracedRun): Promise<{ operations: FileOperation[]; stderr: string }> {
  const log = `${marks}.strace`;
  const flags = [
    '-f',
    '-qq',
    '-y',
    '-xx',
    '-s',
    String(STRING_BYTES),
    '--seccomp-bpf',
    '-e',
    'signal=none',
    '-e',
    `trace=${CALLS}`,
    '-o',
    log,
  ];
  const child = spawn('strace', [...flags, '--', process.execPath, ...args], {
    stdio: ['ignore', 'inherit', 'pipe'],
    env: { ...process.env, UV_USE_IO_URING: '0' },
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  await new Promise((resolve, reject) => child.once('close', resolve).once('error', reject));
  const reader = new TraceReader(folder, marks);
  for await (const line of createInterface({ input: createReadStream(log), crlfDelay: Infinity })) reader.read(line);
  await rm(log, { force: true });
  return { operations: reader.operations, stderr };
}

/** Calls that have no place in the model. */
const FOREIGN = /^(fallocate|sync_file_range|copy_file_range|sendfile|symlink|symlinkat|pwritev2|truncate|io_uring_setup)$/;

class TraceReader {
  readonly operations: FileOperation[] = [];
  readonly #folder: string;
  readonly #marks: string;
  /** By thread: a call that has begun. */
  readonly #begun = new Map<string, { head: string; call: number }>();
  /** By file descriptor: where the next write goes; -1 for the end. */
  readonly #offsets = new Map<number, number>();
  #call = 0;

  constructor(folder: string, marks: string) {
    this.#folder = folder;
    this.#marks = marks;
  }

  read(line: string): void {
    const space = line.indexOf(' ');
    const thread = line.slice(0, space);
    const text = line.slice(space).trimStart();
    if (text.startsWith('+++') || text.startsWith('---')) return;
    if (text.endsWith(' <unfinished ...>')) {
      const head = text.slice(0, -' <unfinished ...>'.length);
      const call = ++this.#call;
      this.#begun.set(thread, { head, call });
      this.#begins(head, call);
      return;
    }
    if (!text.startsWith('<... ')) {
      const call = ++this.#call;
      this.#begins(text, call);
      this.#ended(text, call);
      return;
    }
    const begun = this.#begun.get(thread);
    this.#begun.delete(thread);
    if (begun) this.#ended(begun.head + text.slice(text.indexOf(' resumed>') + ' resumed>'.length), begun.call);
  }

  /** Marks count from here on, and a sync covers what was done before. */
  #begins(text: string, call: number): void {
    const name = text.slice(0, text.indexOf('('));
    if (name === 'fsync' || name === 'fdatasync') {
      const path = this.#within(pathOfFile(text.slice(name.length + 1)));
      if (path !== undefined) this.operations.push({ kind: 'syncBegins', path, call });
    } else if (name === 'write' && pathOfFile(text.slice(name.length + 1)) === this.#marks) {
      for (const each of bytesIn(text).toString('utf8').split('\n')) if (each !== '') this.operations.push({ kind: 'mark', text: each });
    }
  }

  #ended(text: string, call: number): void {
    const parts = /^(\w+)\((.*)\)\s+= (-?\d+)(.*)$/s.exec(text);
    if (!parts) return; // the process was killed in it
    const [, name = '', list = '', result = '', rest = ''] = parts;
    const value = Number(result);
    if (value < 0) return;
    const args = list.split(', ');
    if (name === 'openat' || name === 'open' || name === 'creat') this.#opened(name, args, value, rest);
    else if (name === 'fsync' || name === 'fdatasync') this.#push(pathOfFile(args[0]!), (path) => ({ kind: 'synced', path, call }));
    else if (name.includes('write')) this.#wrote(name, list, args, value);
    else this.#changed(name, args, list);
  }

  #opened(name: string, args: readonly string[], fd: number, rest: string): void {
    const flags = name === 'creat' ? 'O_CREAT|O_TRUNC' : (args[name === 'open' ? 1 : 2] ?? '');
    this.#offsets.set(fd, flags.includes('O_APPEND') ? -1 : 0);
    const file = pathOfFile(`${fd}${rest.trimEnd()}`);
    if (flags.includes('O_CREAT')) this.#push(file, (path) => ({ kind: 'create', path }));
    if (flags.includes('O_TRUNC')) this.#push(file, (path) => ({ kind: 'truncate', path, size: 0 }));
  }

  #wrote(name: string, list: string, args: readonly string[], written: number): void {
    const fd = Number.parseInt(args[0]!, 10);
    const isPlaced = name.startsWith('p');
    const at = isPlaced ? Number(args.at(-1)) : (this.#offsets.get(fd) ?? 0);
    if (!isPlaced && at >= 0) this.#offsets.set(fd, at + written);
    this.#push(pathOfFile(args[0]!), (path) => {
      const bytes = bytesIn(list);
      if (bytes.length < written) throw new Error(`the trace must hold the ${written} bytes of a write, got ${bytes.length}`);
      return { kind: 'write', path, at, bytes: bytes.subarray(0, written) };
    });
  }

  #changed(name: string, args: readonly string[], list: string): void {
    const paths = args.filter((arg) => arg.startsWith('"')).map(textOf);
    if (name.startsWith('rename')) this.#moved('rename', paths);
    else if (name === 'link' || name === 'linkat') this.#moved('link', paths);
    else if (name.startsWith('mkdir')) this.#push(paths[0], (path) => ({ kind: 'makeDirectory', path }));
    else if (name.startsWith('unlink') || name === 'rmdir') this.#push(paths[0], (path) => ({ kind: 'remove', path }));
    else if (name === 'ftruncate') this.#push(pathOfFile(args[0]!), (path) => ({ kind: 'truncate', path, size: Number(args[1]) }));
    else if (FOREIGN.test(name) || (name === 'mmap' && list.includes('PROT_WRITE') && list.includes('MAP_SHARED')))
      for (const path of [...paths, pathOfFile(args[name === 'mmap' ? 4 : 0] ?? '')])
        if (this.#within(path) !== undefined) throw new Error(`${name} of ${path} has no place in the model of a disk`);
  }

  #moved(kind: 'rename' | 'link', [from, to]: readonly string[]): void {
    const target = this.#within(to);
    if (target !== undefined) this.#push(from, (path) => ({ kind, path, to: target }));
    else if (this.#within(from) !== undefined) throw new Error(`${from} was moved out of the folder, to ${to}`);
  }

  #push(file: string | undefined, make: (path: string) => FileOperation): void {
    const path = this.#within(file);
    if (path !== undefined) this.operations.push(make(path));
  }

  #within(path: string | undefined): string | undefined {
    if (path === this.#folder) return '';
    return path?.startsWith(`${this.#folder}/`) && !path.endsWith(' (deleted)') ? path.slice(this.#folder.length + 1) : undefined;
  }
}

/** Of `7<\x2f\x72>`, and what follows it. */
function pathOfFile(text: string): string | undefined {
  const found = /^\d+<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?/.exec(text);
  if (!found || found[2] !== undefined) return undefined;
  return unhex(found[1]!).toString('utf8');
}

function textOf(quoted: string): string {
  return unhex(quoted.slice(1, quoted.lastIndexOf('"'))).toString('utf8');
}

/** All strings of a call, one after the other: the buffers of a write. */
function bytesIn(text: string): Buffer {
  const parts: Buffer[] = [];
  for (let from = text.indexOf('"'); from >= 0;) {
    const end = text.indexOf('"', from + 1);
    parts.push(unhex(text.slice(from + 1, end)));
    from = text.indexOf('"', end + 1);
  }
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

function unhex(text: string): Buffer {
  return Buffer.from(text.replaceAll('\\x', ''), 'hex');
}
