/**
 * A real process that the demo starts, as a parent sees it: a pid, an end, a way to ask it something and to stop it.
 *
 * Each child is the leader of its own process group. Ctrl-C on a terminal goes to the whole foreground group; in a group of their own the
 * children end in the order in which the parent ends them.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../core/clock.ts';
import type { FromChild, Question } from './parent-link.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const GUARD = new URL('end-with-parent.ts', import.meta.url).href;
/** What a child says on stderr is kept, this much of it, for the message should it fail. */
const WORDS_CHARS_MAX = 4000;

export interface ChildProgram {
  readonly name: string;
  /** Relative to the repository: `demo/agent.ts`. */
  readonly program: string;
  readonly args: readonly string[];
  /** Where its lines go: the terminal of the demo, or nowhere. */
  readonly stdout?: 'inherit' | 'ignore';
}

/** How a process ended. `words`: the end of what it said on stderr. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly words: string;
}

export class Child {
  readonly name: string;
  /** Resolves when the process has ended. Never rejects. */
  readonly ended: Promise<Ending>;
  /** Resolves with what the child said when it was ready (parent-link.ts); never, if it does not say so. */
  readonly ready: Promise<unknown>;
  ending: Ending | undefined;
  /** What it left when its work was done (`sayLast`). */
  last: unknown;
  readonly #process: ChildProcess;
  readonly #asked = new Map<number, (value: unknown) => void>();
  #questions = 0;

  static start({ name, program, args, stdout = 'ignore' }: ChildProgram): Child {
    const started = spawn(process.execPath, ['--import', 'tsx', '--import', GUARD, program, ...args], {
      cwd: ROOT,
      detached: true,
      stdio: ['ignore', stdout, 'pipe', 'ipc'],
      // Of a proxy only what explains its end: it says much else, as lines of JSON.
      env: { ...process.env, FONDACO_LOG_LEVEL: process.env.FONDACO_LOG_LEVEL ?? 'error' },
    });
    return new Child(name, started);
  }

  private constructor(name: string, started: ChildProcess) {
    this.name = name;
    this.#process = started;
    let words = '';
    started.stderr?.setEncoding('utf8').on('data', (text: string) => (words = (words + text).slice(-WORDS_CHARS_MAX)));
    this.ended = new Promise((resolve) => {
      const end = (code: number | null, signal: NodeJS.Signals | null): void => {
        this.ending ??= { code, signal, words: words.trim() };
        this.#asked.clear();
        resolve(this.ending);
      };
      started.once('close', end);
      started.once('error', (error) => {
        words += error.message;
        if (started.pid === undefined) end(null, null);
      });
    });
    this.ready = new Promise((resolve) => {
      started.on('message', (message: FromChild) => {
        if ('ready' in message) resolve(message.ready);
        else if ('last' in message) this.last = message.last;
        else this.#asked.get(message.answer)?.(message.value);
      });
    });
  }

  /** 0 if it could not be started at all. */
  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get isAlive(): boolean {
    return this.ending === undefined;
  }

  /** Its answer to a question; `undefined` if it has ended or says nothing within `limitMs`. */
  async ask(about: string, clock: Clock, limitMs = 2000): Promise<unknown> {
    if (!this.isAlive || !this.#process.connected) return undefined;
    const ask = ++this.#questions;
    const done = new AbortController();
    const answer = new Promise<unknown>((resolve) => this.#asked.set(ask, resolve));
    const question: Question = { ask, about };
    this.#process.send(question, () => undefined); // a child that ends meanwhile does not answer
    const value = await Promise.race([answer, this.ended.then(() => undefined), clock.sleep(limitMs, done.signal)]);
    done.abort();
    this.#asked.delete(ask);
    return value;
  }

  /** Asks it to end with SIGTERM; after `limitMs` it is killed. Resolves when it is gone. */
  async stop(clock: Clock, limitMs: number): Promise<Ending> {
    this.kill('SIGTERM');
    const done = new AbortController();
    await Promise.race([this.ended, clock.sleep(limitMs, done.signal)]);
    done.abort();
    this.kill('SIGKILL');
    return this.ended;
  }

  /** Sends a signal, if it is still there. */
  kill(signal: NodeJS.Signals): void {
    if (this.isAlive) this.#process.kill(signal);
  }
}

/** Why it ended, in words for a person. */
export function describeEnding({ code, signal, words }: Ending): string {
  const how = signal === null ? `exit code ${code ?? 'unknown'}` : `by ${signal}`;
  return words === '' || signal === 'SIGKILL' ? how : `${how}, its last words: ${words}`;
}
