import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { asError, FondacoError } from '../../../core/errors.ts';
import type { Journal } from '../../../core/journal.ts';
import type { Lane } from '../../../core/lane.ts';
import { MemoryJournal, MemoryStorage } from '../../../journal/memory-journal.ts';
import { Recorder } from '../../../recorder/index.ts';
import { pause } from '../../support/pause.ts';
import { SimDisk } from './disk.ts';
import type { Network } from './network.ts';
import { LifeClock, type Host, type Life, type Timeline } from './timeline.ts';

/** An event as its agent knows it. */
export interface Recorded {
  /** Tells it from every other: its traceparent, which dedup leaves out. */
  readonly mark: string;
  readonly message: string;
  readonly lane: Lane;
  readonly life: Life;
  /** Empty where it was not taken. */
  readonly id: string;
  /** Its agent was told that it is durable. */
  isConfirmed: boolean;
  /**
   * Nobody is left who could tell if it is lost: the proxy was set back to an older copy after its sender had ended, or its sender was killed
   * after its spool had been removed.
   */
  isExcused: boolean;
}

export interface AgentParts {
  readonly component: string;
  readonly directory: string;
  readonly timeline: Timeline;
  readonly network: Network;
  readonly random: () => number;
}

const TEXTS = 6;
/** Of how many texts one is urgent. */
const URGENT = 5;
/** Real time: more than the end of a dead one takes, in which nothing takes any time. */
const RELEASE_MS = 1_000;

/** A program that records, with a machine of its own: it lives, dies and lives again, with the spools that its lives left. */
export class Agent {
  readonly disk: SimDisk;
  readonly host: Host = { offsetMs: 0 };
  readonly recorded: Recorded[] = [];
  readonly problems: string[] = [];
  /** A spool was removed, or a life ended with events in memory that it could not spill. */
  isMessy = false;
  recorder: Recorder | undefined;
  isClosing = false;
  #life: Life = { isDead: true, frozen: [] };
  readonly #parts: AgentParts;
  readonly #storages = new Map<string, MemoryStorage>();
  /** Those that somebody removed: what hangs in them hangs a close. */
  readonly #removed: MemoryStorage[] = [];
  readonly #held = new Set<string>();
  readonly #ended: { readonly recorder: Recorder; readonly clock: LifeClock }[] = [];
  #clock: LifeClock | undefined;
  #isOpening = false;
  /** The life whose spools were removed. */
  #wiped: Life | undefined;

  constructor(parts: AgentParts) {
    this.#parts = parts;
    this.disk = new SimDisk(parts.timeline);
  }

  get network(): Network {
    return this.#parts.network;
  }

  get isUp(): boolean {
    return this.recorder !== undefined;
  }

  /** Begins a life, if there is none. Nothing waits for what it waits for. */
  start(): void {
    if (this.recorder || this.#isOpening) return;
    const { timeline, network, component, directory, random } = this.#parts;
    const life: Life = { isDead: false, frozen: [] };
    const clock = new LifeClock(timeline, life, this.host);
    this.#life = life;
    this.#clock = clock;
    this.#isOpening = true;
    const opening = Recorder.open(
      { component, node: 'n1', proxy: 'proxy:1', spool: { directory }, onError: () => undefined },
      {
        clock,
        random,
        env: {},
        openJournal: async (spool) => this.#openJournal(spool, life, clock),
        connect: (proxy) => (life.isDead ? gone() : network.connect(life, proxy)),
      },
    );
    opening.then(
      (recorder) => {
        this.#isOpening = false;
        this.recorder = recorder;
      },
      (error: unknown) => this.problems.push(`the recorder must open, got ${asError(error).stack}`),
    );
  }

  /** Records some events; some with a promise, some without. */
  record(count: number, text: number): void {
    for (let i = 0; i < count; i++) this.#recordOne((text + i * i) % TEXTS, (text + i) % 2 === 0);
  }

  /** One event that is like no other. */
  recordAnother(): Recorded {
    this.#recordOne(TEXTS + URGENT * this.recorded.length, false);
    return this.recorded.at(-1)!;
  }

  #recordOne(text: number, isAwaited: boolean): void {
    const { recorder } = this;
    if (!recorder || this.isClosing) return;
    const { component } = this.#parts;
    const mark = `${component}-${this.recorded.length + 1}`;
    const isUrgent = text % URGENT === URGENT - 1;
    const life = this.#life;
    const lane: Lane = isUrgent ? 'urgent' : 'normal';
    const severity = isUrgent ? 'critical' : 'info';
    const message = `text ${text}`;
    const before = this.recorded.find((event) => event.life === life && event.lane === lane && event.id !== '');
    const note = (id: string): Recorded => {
      const event = { mark, message, lane, life, id, isConfirmed: false, isExcused: false };
      this.recorded.push(event);
      return event;
    };
    if (!isAwaited || !before) {
      note(recorder.event('test.Event', severity, message, { traceparent: mark }) ?? '');
      return;
    }
    const recording = recorder.record('test.Event', severity, message, { traceparent: mark });
    // Its id is told when it is durable, which may be never; its seq is known.
    const event = note(`${before.id.slice(0, before.id.lastIndexOf('-'))}-${recorder.status().lanes[lane].recorded}`);
    recording.then(
      ({ id }) => {
        event.isConfirmed = true;
        if (id !== event.id) this.problems.push(`${mark} must be ${event.id}, got ${id}`);
      },
      () => undefined,
    );
  }

  flush(): void {
    if (this.isClosing) return;
    const before = this.recorded.filter(({ life }) => life === this.#life);
    this.recorder?.flush().then(
      () => this.#confirm(before),
      () => undefined,
    );
  }

  /** A life ends in good order; until it has ended no other begins. */
  close(): void {
    const { recorder } = this;
    if (!recorder || this.isClosing) return;
    this.isClosing = true;
    const own = this.recorded.filter(({ life }) => life === this.#life);
    recorder
      .close()
      .then(
        () => this.#confirm(own),
        (error: unknown) => {
          // It was told, and can be told to nobody else: the spool was removed, and the disk takes nothing.
          if (String(error).includes('in a spool that is gone')) for (const event of own) event.isExcused = true;
        },
      )
      .finally(() => {
        this.isClosing = false;
        this.recorder = undefined;
        this.#life = { isDead: true, frozen: [] };
      });
  }

  #confirm(events: readonly Recorded[]): void {
    for (const event of events) event.isConfirmed = true;
  }

  /** SIGKILL. `isStored`: what was on its way to the disk is there all the same. */
  kill(isStored: boolean): void {
    if (this.#life.isDead || this.#isOpening) return;
    // It may not have seen yet that its spool was gone, and a later life cannot know.
    if (this.#wiped === this.#life) for (const event of this.recorded) event.isExcused = true;
    this.#parts.timeline.end(this.#life, isStored);
    this.#parts.network.cut(false);
    this.#held.clear();
    if (this.recorder) this.#ended.push({ recorder: this.recorder, clock: this.#clock! });
    this.recorder = undefined;
    this.isClosing = false;
  }

  /** Somebody removes all spools. */
  async wipe(): Promise<void> {
    this.isMessy = true;
    this.#wiped = this.#life;
    for (const event of this.recorded) event.isExcused ||= event.life !== this.#life;
    this.#removed.push(...this.#storages.values());
    this.#storages.clear();
    await rm(join(this.#parts.directory, this.#parts.component), { recursive: true, force: true });
  }

  /** The proxy's store is an older one now: what ended lives had brought there is out of their hands. */
  proxyRestored(): void {
    for (const event of this.recorded) event.isExcused ||= event.life !== this.#life;
  }

  /** Lets go of what the process holds of dead lives. What waits for what does not come any more is left to itself: nothing of it is judged. */
  async release(): Promise<void> {
    this.kill(false);
    for (const storage of [...this.#removed, ...this.#storages.values()]) await storage.open(); // ends what hangs in it
    for (const { clock } of this.#ended) clock.release();
    for (const { recorder, clock } of this.#ended)
      await Promise.race([recorder.close().catch(() => undefined), clock.isTired, pause(RELEASE_MS)]);
  }

  async #openJournal(directory: string, life: Life, clock: LifeClock): Promise<Journal> {
    if (life.isDead) return gone();
    if (this.#held.has(directory)) throw new FondacoError('UNAVAILABLE', 'held', { isHeld: true });
    await mkdir(directory, { recursive: true });
    const storage = this.#storages.get(directory) ?? new MemoryStorage();
    this.disk.attach(storage, life, 'a write to a spool');
    this.#storages.set(directory, storage);
    const journal = await MemoryJournal.open({ clock, stamp: { site: '' }, storage, recentBytes: 0 });
    this.#held.add(directory);
    const close = journal.close.bind(journal);
    journal.close = async () => {
      await close();
      this.#held.delete(directory);
    };
    return journal;
  }
}

function gone(): never {
  throw new FondacoError('UNAVAILABLE', 'the process is dead');
}
