import { spawn, type ChildProcess } from 'node:child_process';
import { programArgs } from './program.ts';

/** A process that has not ended by then is killed, and its test fails with what it wrote. */
const LIMIT_MS = 30_000;
/** Of a proxy, which is there for many verbs. */
const PROXY_LIMIT_MS = 120_000;

export interface RunOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string | Buffer;
  readonly limitMs?: number;
}

export interface Ran {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `fondaco` to its end, in an environment of its own. */
export async function fondaco(args: readonly string[], options: RunOptions): Promise<Ran> {
  return start(args, options).ended;
}

/** A running `fondaco`. */
export interface Running {
  readonly child: ChildProcess;
  /** What it wrote so far. */
  readonly out: { stdout: string; stderr: string };
  readonly ended: Promise<Ran>;
  /** Resolves with what `find` finds in what was written; rejects if it ends before. */
  until<T>(find: (out: { stdout: string; stderr: string }) => T | undefined): Promise<T>;
}

export function start(args: readonly string[], { cwd, env = {}, stdin = '', limitMs = LIMIT_MS }: RunOptions): Running {
  const child = spawn(process.execPath, [...programArgs(), ...args], {
    cwd,
    env: { PATH: process.env.PATH, HOME: cwd, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const out = { stdout: '', stderr: '' };
  const listeners = new Set<() => void>();
  const ring = (): void => {
    for (const listener of listeners) listener();
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out.stdout += text;
    ring();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    out.stderr += text;
    ring();
  });
  child.stdin.on('error', () => {}); // it may end without having read all of it
  child.stdin.end(stdin);
  const limit = setTimeout(() => child.kill('SIGKILL'), limitMs);
  let isOver = false;
  const ended = new Promise<Ran>((resolve) => {
    child.once('close', (code, signal) => {
      clearTimeout(limit);
      isOver = true;
      ring();
      resolve({ code, signal, ...out });
    });
  });
  const until = <T>(find: (written: typeof out) => T | undefined): Promise<T> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = find(out);
        if (found === undefined && !isOver) return;
        listeners.delete(look);
        if (found === undefined) reject(new Error(`fondaco ${args.join(' ')} ended before: ${out.stderr}${out.stdout}`));
        else resolve(found);
      };
      listeners.add(look);
      look();
    });
  return { child, out, ended, until };
}

/** A proxy process that takes events, with where it listens. */
export interface RunningProxy extends Running {
  readonly grpc: string;
  readonly api: string;
}

/** Starts `fondaco proxy` and waits until it takes events. Its config should ask for port 0. */
export async function startProxy(args: readonly string[], options: RunOptions): Promise<RunningProxy> {
  const running = start(['proxy', ...args], { limitMs: PROXY_LIMIT_MS, ...options });
  const { grpc, http } = await running.until(({ stderr }) => {
    const line = stderr.split('\n').find((text) => text.includes('"proxy started"'));
    return !line?.endsWith('}') ? undefined : (JSON.parse(line) as { grpc: string; http: string });
  });
  return { ...running, grpc, api: http.startsWith('unix:') ? http : `http://${http}` };
}
