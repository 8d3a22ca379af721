import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import type { ConfirmingOrder } from './confirming-agent.ts';
import type { Child } from './processes.ts';
import type { Site } from './site.ts';

const AGENT = fileURLToPath(new URL('confirming-agent.ts', import.meta.url));

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
  readonly count: number;
  readonly #site: Site;
  readonly #pace: { readonly perBurst: number; readonly pauseMs: number };
  #child: Child | undefined;

  constructor(site: Site, component: string, options: { count: number; perBurst: number; pauseMs: number }) {
    this.#site = site;
    this.component = component;
    this.count = options.count;
    this.#pace = { perBurst: options.perBurst, pauseMs: options.pauseMs };
  }

  start(): void {
    const { component, count } = this;
    const { proxy, spool } = this.#site;
    const order: ConfirmingOrder = {
      ...this.#pace,
      component,
      proxy: proxy.address,
      directory: spool,
      first: this.log().tried + 1,
      last: count,
      log: this.#logFile,
    };
    this.#child = this.#site.child(AGENT, order);
  }

  /** SIGKILL, and at once the next life. */
  async killAndRestart(): Promise<void> {
    await this.#child?.kill('SIGKILL');
    this.start();
  }

  /** Resolves when its last life has recorded the rest and has seen all of it settled, what earlier lives left on disk included. */
  async ended(): Promise<void> {
    const { code, stderr } = await this.#child!.ended;
    expect(code, stderr).to.equal(0);
    const [books] = this.#child!.lines('ledger') as unknown as [{ ledger: Record<string, number>; older: object }];
    const { recorded } = books.ledger;
    expect(books.ledger).to.deep.equal({ recorded, settled: recorded, spooled: 0, queued: 0, dropped: 0, rejected: 0 });
    expect(books.older).to.include({ lives: 0, events: 0 });
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

  get #logFile(): string {
    return join(this.#site.folder, `${this.component}.log`);
  }

  #lines(): string[] {
    try {
      return readFileSync(this.#logFile, 'utf8').split('\n').slice(0, -1);
    } catch {
      return []; // no life has begun to record
    }
  }
}
