import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Child } from '../../support/processes.ts';
import type { Site } from '../../support/site.ts';
import { until } from '../../support/until.ts';
import type { ConfirmingOrder } from './confirming-agent.ts';

const AGENT = fileURLToPath(new URL('confirming-agent.ts', import.meta.url));

const START_MS = 90_000;

/** What an agent wrote down in all its lives. */
export interface ConfirmingLog {
  /** The highest number that it may have recorded. */
  readonly tried: number;
  /** What `record()` resolved with, by number. */
  readonly confirmed: ReadonlyMap<number, { readonly id: string; readonly level: string }>;
}

/** One agent through all its lives: killed, and started again under the same component with the next number. */
export class ConfirmingSource {
  readonly component: string;
  readonly #site: Site;
  readonly #pace: Pick<ConfirmingOrder, 'perBurst' | 'pauseMs' | 'durability'>;
  #child: Child | undefined;
  #bytesBefore = 0;

  constructor(site: Site, component: string, pace: Pick<ConfirmingOrder, 'perBurst' | 'pauseMs' | 'durability'>) {
    this.#site = site;
    this.component = component;
    this.#pace = pace;
  }

  /** The life that runs, or ran last. */
  get child(): Child {
    return this.#child!;
  }

  /** The next life. */
  start(env: Record<string, string> = {}): void {
    const { component } = this;
    const { proxy, spool } = this.#site;
    const order: ConfirmingOrder = {
      ...this.#pace,
      component,
      proxy: proxy.address,
      directory: spool,
      first: this.log().tried + 1,
      log: this.#file('log'),
      stop: this.#file('stop'),
    };
    this.#bytesBefore = this.#logBytes;
    this.#child = this.#site.child(AGENT, order, env);
  }

  /** Resolves when the life that was just started records, or has ended. */
  async atWork(): Promise<void> {
    const { process: child } = this.child;
    const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null;
    await until(`agent ${this.component} records`, () => isOver() || this.#logBytes > this.#bytesBefore, START_MS);
  }

  /** It records nothing more, in this life and in later ones, and ends when all is settled. */
  stop(): void {
    writeFileSync(this.#file('stop'), '');
  }

  /** What its last life said at its end, if that was no good one: all of it settled, what earlier lives left on disk included. */
  async endProblem(): Promise<string | undefined> {
    const { code, stderr } = await this.child.ended;
    if (code !== 0) return `agent ${this.component} ended with ${code}: ${stderr}`;
    const [books] = this.child.lines('ledger') as unknown as [{ ledger: Record<string, number>; older: Record<string, number> }];
    const { recorded, settled, ...rest } = books.ledger;
    const isSettled = settled === recorded && Object.values(rest).every((count) => count === 0);
    return isSettled && books.older.lives === 0 && books.older.events === 0
      ? undefined
      : `agent ${this.component}: ${JSON.stringify(books)}`;
  }

  log(): ConfirmingLog {
    let tried = 0;
    const confirmed = new Map<number, { id: string; level: string }>();
    for (const line of this.#lines()) {
      const [word, n, id = '', level = ''] = line.split(' ');
      if (word === 'tried') tried = Number(n);
      else confirmed.set(Number(n), { id, level });
    }
    return { tried, confirmed };
  }

  get #logBytes(): number {
    return statSync(this.#file('log'), { throwIfNoEntry: false })?.size ?? 0;
  }

  #file(what: string): string {
    return join(this.#site.folder, `${this.component}.${what}`);
  }

  #lines(): string[] {
    try {
      return readFileSync(this.#file('log'), 'utf8').split('\n').slice(0, -1);
    } catch {
      return []; // no life has begun to record
    }
  }
}
