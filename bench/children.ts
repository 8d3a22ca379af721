/** The bench's processes: each prints JSON lines, and is asked for one at a time. */
import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

const LINE_MS = 240_000;

export class Child {
  readonly #process: ChildProcess;
  readonly #lines: string[] = [];
  #wake: (() => void) | undefined;
  #said = '';
  #hasExited = false;

  /** Runs a file of bench/ (through tsx, which it needs for itself only: what is measured comes from dist/). */
  static run(file: string, args: readonly string[], env: Record<string, string> = {}): Child {
    const path = fileURLToPath(new URL(file, import.meta.url));
    return new Child([...(path.endsWith('.ts') ? ['--import', 'tsx'] : []), path, ...args], env);
  }

  private constructor(args: readonly string[], env: Record<string, string>) {
    this.#process = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    for (const stream of [this.#process.stdout!, this.#process.stderr!]) this.#read(stream);
    this.#process.on('exit', () => {
      this.#hasExited = true;
      this.#wake?.();
    });
  }

  #read(stream: Readable): void {
    let rest = '';
    stream.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      this.#lines.push(...lines);
      this.#said = (this.#said + text).slice(-4000);
      this.#wake?.();
    });
  }

  /** The next line that is JSON and has the key. */
  async next(key: string): Promise<Record<string, unknown>> {
    const deadline = Date.now() + LINE_MS;
    for (;;) {
      for (let line = this.#lines.shift(); line !== undefined; line = this.#lines.shift()) {
        if (!line.startsWith('{')) continue;
        const value = JSON.parse(line) as Record<string, unknown>;
        if (key in value) return value;
      }
      if (this.#hasExited) throw new Error(`a process ended before it said "${key}": ${this.#said}`);
      if (Date.now() > deadline) throw new Error(`a process did not say "${key}" in time: ${this.#said}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1000);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Private memory, in MiB: resident pages without mapped files. */
  memoryMiB(): number {
    const status = readFileSync(`/proc/${this.#process.pid}/status`, 'utf8');
    return Number(/RssAnon:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
  }

  /** User and system time so far, in seconds (proc(5): fields 14 and 15, in ticks of 10 ms). */
  cpuSeconds(): number {
    const fields = readFileSync(`/proc/${this.#process.pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  async stop(): Promise<void> {
    if (this.#hasExited) return;
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGTERM');
    await ended;
  }
}
