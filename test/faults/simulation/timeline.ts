import type { Clock } from '../../../core/clock.ts';

/** One run of a simulated process, from its start to its end. What a dead one waits for never comes. */
export interface Life {
  isDead: boolean;
  /** What a dead one waited for, so that it can be let go. */
  readonly frozen: (() => void)[];
  isReleased?: true;
}

/** Something that a process waits for, and that happens when the schedule says so. */
export interface Wait {
  readonly life: Life;
  readonly what: string;
  readonly go: () => void;
  /** What may have happened all the same where the process is killed now: a write that was out. */
  readonly unheard?: (() => void) | undefined;
}

interface Sleeper {
  readonly life: Life;
  readonly at: number;
  readonly wake: () => void;
}

/** Without a turn of the event loop in which something happened: promises have settled by then, and so has what takes a turn of its own. */
const QUIET_TURNS = 3;

/** Calls to the file system, and the closing of its handles, as Node names them. */
const FILE_WORK = /^(FSReq|CloseReq)/;

/** Resolves when everything that can go on without time, disk and network has gone on: what is left of it is file system calls, and those are waited for. */
export async function quiet(): Promise<void> {
  for (let turns = 0; turns < QUIET_TURNS; turns++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (process.getActiveResourcesInfo().some((name) => FILE_WORK.test(name))) turns = -1;
  }
}

/** The time that all processes share, and what they wait for. Nothing moves unless it is told to. */
export class Timeline {
  now = 0;
  waits: Wait[] = [];
  #sleepers: Sleeper[] = [];

  /** Resolves when the schedule lets it. */
  wait(life: Life, what: string, unheard?: () => void): Promise<void> {
    return new Promise((resolve) => this.add({ life, what, go: resolve, unheard }));
  }

  /** Returns what takes it back. */
  add(wait: Wait): () => void {
    if (wait.life.isReleased) setImmediate(wait.go);
    else if (wait.life.isDead) wait.life.frozen.push(wait.go);
    else this.waits.push(wait);
    return () => void (this.waits = this.waits.filter((other) => other !== wait));
  }

  /** Lets the wait at that index, of whatever many there are, happen. */
  async go(index: number): Promise<void> {
    const [wait] = this.waits.splice(index % this.waits.length, 1);
    wait?.go();
    await quiet();
  }

  sleep(life: Life, ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) {
        resolve();
        return;
      }
      const wake = (): void => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      const sleeper: Sleeper = { life, at: this.now + Math.max(ms, 0), wake };
      this.#sleepers.push(sleeper);
      signal?.addEventListener('abort', wake, { once: true });
    });
  }

  /** When the first sleeper wakes; Infinity if nobody sleeps. */
  get next(): number {
    return this.#sleepers.reduce((first, { at }) => Math.min(first, at), Infinity);
  }

  /** Lets time pass, and wakes who sleeps until then; what is waited for otherwise does not happen meanwhile. */
  async advance(ms: number): Promise<void> {
    const end = this.now + ms;
    for (let { next } = this; next <= end; { next } = this) {
      this.now = Math.max(this.now, next);
      this.#sleepers.find(({ at }) => at === next)!.wake();
      await quiet();
    }
    this.now = end;
  }

  /** The process is killed: nothing of what it waits for comes. `isStored`: what was out has happened all the same. */
  end(life: Life, isStored: boolean): void {
    life.isDead = true;
    const own = this.waits.filter((wait) => wait.life === life);
    this.waits = this.waits.filter((wait) => wait.life !== life);
    const asleep = this.#sleepers.filter((sleeper) => sleeper.life === life);
    this.#sleepers = this.#sleepers.filter((sleeper) => sleeper.life !== life);
    if (isStored) for (const { unheard } of own) unheard?.();
    life.frozen.push(...own.map(({ go }) => go), ...asleep.map(({ wake }) => wake));
  }
}

/** A machine's wall clock: how far it is from the right time. */
export interface Host {
  offsetMs: number;
}

/** Of a life that is dead, and is let go. */
const SLEEPS_MAX = 10_000;
const RIGHT_TIME = Date.UTC(2026, 10, 22, 8);

/** The clock of one life: its monotonic time has a beginning of its own, its wall clock is its host's. */
export class LifeClock implements Clock {
  readonly #timeline: Timeline;
  readonly #life: Life;
  readonly #host: Host;
  readonly #bornAt: number;
  #slept = 0;
  #sleeps = 0;
  #tire: () => void = () => undefined;
  /** Resolves when a released one has slept more often than any end of a recorder takes: it waits for something that does not come any more. */
  readonly isTired = new Promise<void>((resolve) => (this.#tire = resolve));

  constructor(timeline: Timeline, life: Life, host: Host) {
    this.#timeline = timeline;
    this.#life = life;
    this.#host = host;
    this.#bornAt = timeline.now;
  }

  now(): number {
    return Math.max(RIGHT_TIME + this.#timeline.now + this.#host.offsetMs, 0); // no machine lets itself be set to a time before 1970
  }

  monotonic(): number {
    return this.#timeline.now - this.#bornAt + this.#slept;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (!this.#life.isReleased) return this.#timeline.sleep(this.#life, ms, signal);
    this.#slept += Math.min(ms, 3_600_000);
    if (++this.#sleeps < SLEEPS_MAX) return new Promise((resolve) => setImmediate(resolve));
    this.#tire();
    return new Promise(() => undefined);
  }

  /** Of a dead life, so that what the test process holds of it can be closed: from now on nothing takes any time. */
  release(): void {
    this.#life.isReleased = true;
    for (const go of this.#life.frozen.splice(0)) go();
  }
}
