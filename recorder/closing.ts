import type { Bell } from '../core/bell.ts';
import type { Clock } from '../core/clock.ts';
import { FondacoError } from '../core/errors.ts';
import { LANES, perLane } from '../core/lane.ts';
import { writeExitFile } from './exit-file.ts';
import { asUnavailable, type Reports } from './host-reports.ts';
import type { Keeper } from './keeper.ts';
import { onExit, onSignals } from './process-end.ts';
import { exitLane, type SeriesStore } from './series-store.ts';

const CLOSE_MS = 2_000;
const GOODBYE_MS = 500;

/** A loop of the recorder: `stop` resolves when it has ended. */
export interface Loop {
  stop(): Promise<void>;
}

/** What an end has to do with. */
export interface ClosingParts {
  readonly keeper: Keeper;
  readonly clock: Clock;
  /** Keeps the process alive while somebody waits. */
  readonly waitClock: Clock;
  readonly reports: Reports;
  readonly session: Loop;
  readonly keeping: Loop;
  /** Rung when a series or the link has changed. */
  readonly changeBell: Bell;
  readonly sessionBell: Bell;
}

/** How a recorder ends: closed by its host, or with the process, by a signal or its exit. */
export class Closing {
  readonly #parts: ClosingParts;
  #release: readonly (() => void)[] = [];

  constructor(parts: ClosingParts) {
    this.#parts = parts;
  }

  /** From now on the end of the process, and each of the signals, saves what is held. */
  watch(signals: readonly NodeJS.Signals[]): void {
    this.#release = [
      onExit(() => void this.#exit()),
      onSignals(
        signals,
        () => this.#settleOnSignal(),
        () => void this.#exit(),
      ),
    ];
  }

  /**
   * What is held is settled, within 2 s, or spilled. Rejects UNAVAILABLE if some events were neither, and so are lost. To be called once.
   */
  async close(): Promise<void> {
    const { keeper, keeping, session } = this.#parts;
    const stores = LANES.map((lane) => keeper.own.stores[lane]);
    const isSettled = (): boolean => stores.every((store) => store.isSettled);
    await this.#until(CLOSE_MS, () => isSettled() || keeper.isLinkDown);
    await keeping.stop();
    if (isSettled() && !keeper.isLinkDown) await this.#sayGoodbye(stores);
    await session.stop();
    const isKept = (await keeper.close()) || this.#exit();
    for (const release of this.#release) release();
    const lost: string[] = [];
    if (keeper.untold > 0) lost.push(`${keeper.untold} in a spool that is gone`);
    if (!isKept) lost.push(`${this.#loseQueued(stores)} in memory only`);
    if (lost.length === 0) return;
    const got = lost.join(', and ');
    throw new FondacoError('UNAVAILABLE', `every event must be settled or spooled at the close, got ${got}: they are lost`);
  }

  /** Returns how many there were. */
  #loseQueued(stores: readonly SeriesStore[]): number {
    const queued = stores.reduce((sum, store) => sum + store.queued, 0);
    for (const store of stores) {
      store.lose({ first: store.durable + 1, last: store.last }, 'memory-full');
      store.memory.forget(store.last);
    }
    return queued;
  }

  /** Synchronous, at the exit of the main thread: what is in memory only goes to the exit file. True if it is safe there. */
  #exit(): boolean {
    const { keeper, reports } = this.#parts;
    const { own } = keeper;
    const lanes = perLane((lane) => exitLane(own.stores[lane]));
    if (keeper.base === undefined) return false;
    if (LANES.every((lane) => lanes[lane].runs.length === 0 && lanes[lane].row.lost.length === 0)) return true;
    try {
      writeExitFile(own.directory, lanes);
      return true;
    } catch (error) {
      reports.report(asUnavailable('the exit file must be writable', error));
      return false;
    }
  }

  /** Gives the proxy its time to settle what is held. Events are taken meanwhile; what is left goes to the exit file. */
  async #settleOnSignal(): Promise<void> {
    const { keeper } = this.#parts;
    const stores = LANES.map((lane) => keeper.own.stores[lane]);
    const settled = stores.map((store) => store.last);
    await this.#until(CLOSE_MS, () => keeper.isLinkDown || stores.every((store, i) => store.window.settled >= settled[i]!));
  }

  /** Everything is settled: the proxy may free the rows, once nothing on disk could ever send in these series again. */
  async #sayGoodbye(stores: readonly SeriesStore[]): Promise<void> {
    const { keeper, sessionBell } = this.#parts;
    if (keeper.own.journal && !(await keeper.removeOwn())) return;
    for (const store of stores) store.isClosing = true;
    sessionBell.ring();
    await this.#until(GOODBYE_MS, () => keeper.isLinkDown || stores.every((store) => store.window.isClosed || !store.hasMoreOrInFlight));
  }

  async #until(limitMs: number, isDone: () => boolean): Promise<void> {
    const { clock, waitClock, changeBell } = this.#parts;
    const until = clock.monotonic() + limitMs;
    for (let now = clock.monotonic(); !isDone() && now < until; now = clock.monotonic()) {
      await changeBell.wait(waitClock, until - now);
    }
  }
}
