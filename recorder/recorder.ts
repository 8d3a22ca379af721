import { randomInt } from 'node:crypto';
import type { Rejection } from '../core/batch.ts';
import { systemClock, type Clock } from '../core/clock.ts';
import { FondacoError, type ErrorCode } from '../core/errors.ts';
import type { Catalog, TypesOf } from '../core/catalog.ts';
import { checkCall, completeFields, type EventDetails, type EventFields } from '../core/event-input.ts';
import { LANES } from '../core/lane.ts';
import type { Severity } from '../core/severity.ts';
import { Bell } from '../core/bell.ts';
import { runSession, type LinkState, type SessionParts } from '../proto/session.ts';
import type { SpoolDamage } from './adoption.ts';
import { Closing, type Loop } from './closing.ts';
import { damageEvent } from './damage-event.ts';
import { Intake, type Taken } from './intake.ts';
import { Keeper } from './keeper.ts';
import type { OpenJournal } from './life.ts';
import { checkOptions, spoolProblem, type RecorderOptions, type RecorderSettings } from './options.ts';
import { asRejected, asUnavailable, Reports } from './host-reports.ts';
import type { SeriesStore } from './series-store.ts';
import { birthOfNext } from './life-directory.ts';
import { openLevelJournal } from './spool-journal.ts';
import { statusOf, type RecorderStatus } from './status.ts';
import { Waiters, type DurableLevel, type DurableWait } from './waiters.ts';

const DURABLE_MS = 10_000;

/** An event that is durable. */
export interface Recorded {
  readonly id: string;
  /** `proxy`: in a proxy's journal. `spool`: on this machine's disk, on its way. */
  readonly level: DurableLevel;
}

/** What a library needs of the recorder that it is given: the one of the process, one of its program's own, or a MemoryRecorder in tests. */
export type EventRecorder<Type extends string = string> = Pick<Recorder<Type>, 'event' | 'record'>;

/** Time, chance, disk and network, for tests; the machine's own by default. */
export interface RecorderParts {
  readonly clock: Clock;
  readonly random: () => number;
  readonly env: NodeJS.ProcessEnv;
  readonly openJournal: OpenJournal;
  readonly connect: SessionParts['connect'];
}

/**
 * Records events and sees to it that they arrive. One per process is the exported `recorder`; this makes further ones. With catalogs, `Type` is
 * the union of their types, where it is known when the program is compiled.
 */
export class Recorder<Type extends string = string> {
  readonly #settings: RecorderSettings;
  readonly #clock: Clock;
  readonly #waitClock: Clock;
  readonly #keeper: Keeper;
  readonly #intake: Intake;
  readonly #reports: Reports;
  readonly #waiters = new Waiters();
  readonly #sessionBell = new Bell();
  readonly #keeperBell = new Bell();
  readonly #changeBell = new Bell();
  #calls = 0;
  /** Calls that were refused, and calls after the close: they have no seq. */
  #refused = 0;
  #late = 0;
  #link: LinkState = { state: 'connecting' };
  /** What the host was told of this outage: a proxy that is away, and then does not let us in, is two things to hear of. */
  readonly #toldOf = new Set<ErrorCode>();
  #proxy: string;
  #end!: Closing;
  #closing: Promise<void> | undefined;
  #isClosed = false;

  private constructor(
    settings: RecorderSettings,
    base: string | undefined,
    parts: { readonly clock: Clock; readonly waitClock: Clock; readonly openJournal: OpenJournal; readonly bornAt: number },
  ) {
    this.#settings = settings;
    this.#clock = parts.clock;
    this.#waitClock = parts.waitClock;
    this.#proxy = settings.proxies[0]!;
    this.#reports = new Reports(settings.onError, parts.clock);
    this.#keeper = new Keeper({
      ...settings,
      base,
      bornAt: parts.bornAt,
      clock: parts.clock,
      openJournal: parts.openJournal,
      bell: this.#keeperBell,
      onProblem: (problem) => this.#reports.report(problem),
      onDamage: (damage) => this.#recordDamage(damage),
      onSendable: () => this.#sessionBell.ring(),
      events: {
        changed: (store) => this.#changed(store),
        rejected: (store, rejections) => this.#rejected(store, rejections),
      },
    });
    this.#intake = new Intake({
      settings,
      keeper: this.#keeper,
      clock: parts.clock,
      reports: this.#reports,
      onTaken: () => {
        this.#sessionBell.ring();
        this.#keeperBell.ring();
      },
    });
  }

  /**
   * Opens a recorder. Waits for no network; looks for the spools that earlier lives left, and sends what is in them first.
   * Rejects only with CONFIG. A spool directory that cannot be used means memory only, and is reported.
   */
  static async open<const Catalogs extends readonly Catalog[] = readonly []>(
    options: RecorderOptions & { readonly catalogs?: Catalogs },
    parts: Partial<RecorderParts> = {},
  ): Promise<Recorder<TypesOf<Catalogs>>> {
    const { env = process.env, clock = systemClock({ unref: true }), random = chance } = parts;
    const settings = checkOptions(options, env);
    const problem = settings.spoolDirectory === undefined ? undefined : await spoolProblem(settings.spoolDirectory);
    const base = problem ? undefined : settings.spoolDirectory;
    const openJournal = parts.openJournal ?? openLevelJournal(clock, settings);
    // Whoever awaits us keeps the process alive, for as long as we said that may take; nothing else of ours does.
    const waitClock = parts.clock ?? systemClock();
    const bornAt = base === undefined ? clock.now() : await birthOfNext(base, clock.now());
    const recorder = new Recorder<TypesOf<Catalogs>>(settings, base, { clock, waitClock, openJournal, bornAt });
    if (problem) recorder.#reports.report(problem);
    await recorder.#start({ random, connect: parts.connect });
    return recorder;
  }

  async #start(parts: Pick<SessionParts, 'random' | 'connect'>): Promise<void> {
    try {
      await this.#keeper.findOlder();
    } catch (error) {
      this.#reports.report(asUnavailable('earlier spools must be listable', error));
    }
    const { proxies, security, node, component, closeOn } = this.#settings;
    const session = this.#loop((signal) =>
      runSession(
        {
          proxies,
          security,
          sender: { node, component },
          series: this.#keeper.series,
          bell: this.#sessionBell,
          clock: this.#clock,
          ...parts,
          onLink: (link, proxy) => this.#linked(link, proxy),
        },
        signal,
      ),
    );
    this.#end = new Closing({
      keeper: this.#keeper,
      clock: this.#clock,
      waitClock: this.#waitClock,
      reports: this.#reports,
      session,
      keeping: this.#loop((signal) => this.#keeper.run(signal)),
      changeBell: this.#changeBell,
      sessionBell: this.#sessionBell,
    });
    this.#end.watch(closeOn);
  }

  /** Starts what never rejects. Should a bug make it do so, the host hears of it, and lives. */
  #loop(run: (signal: AbortSignal) => Promise<void>): Loop {
    const stop = new AbortController();
    const ended = run(stop.signal).catch((bug: unknown) => this.#reports.report(asUnavailable('the recorder must go on', bug)));
    return {
      stop: () => {
        stop.abort();
        return ended;
      },
    };
  }

  /**
   * Records an event: encodes it into memory, and that is all; no I/O, no waiting. What it was given is copied. Returns the event's id.
   * A mistake in the call is reported to `onError`, counted, and returned as `undefined`; so is a dropped event (FULL). Throws nothing,
   * unless `strict` is set: then REJECTED for a mistake.
   */
  event(type: Type, severity: Severity | undefined, message: string, details?: EventDetails): string | undefined {
    this.#calls++;
    const fields = this.#check(type, severity, message, details);
    return fields && this.#take(fields)?.id;
  }

  /**
   * Records an event and resolves when it is durable. Rejects REJECTED for a mistake in the call or a refusal by the proxy, FULL if it was
   * dropped, and UNAVAILABLE after 10 s, or at once when `signal` is aborted: then it is still held in memory and may yet arrive.
   */
  async record(
    type: Type,
    severity: Severity | undefined,
    message: string,
    details?: EventDetails,
    signal?: AbortSignal,
  ): Promise<Recorded> {
    this.#calls++;
    const fields = checked(
      () => checkCall({ type, severity, message, details }, this.#settings, this.#clock.now()),
      () => this.#refused++,
    );
    const taken = this.#take(fields);
    if (!taken) throw new FondacoError('FULL', 'memory must have room, got none: the event was dropped, and its loss declared');
    if (this.#keeper.isLinkDown) this.#keeper.wantSpill();
    const level = await this.#waiters.recorded(taken, this.#waiting(signal));
    return { id: taken.id, level };
  }

  /** Takes over calls that were made before the recorder was opened. */
  takeChecked(calls: readonly EventFields[], dropped: number): void {
    const { node, component } = this.#settings;
    this.#calls += calls.length + dropped;
    for (const fields of calls) {
      try {
        const complete = completeFields(fields, this.#settings);
        this.#take({ ...complete, node: fields.node || node, component: fields.component || component });
      } catch (thrown) {
        this.#refuse(thrown);
      }
    }
    if (dropped === 0) return;
    this.#intake.drop(dropped);
    this.#reports.report(new FondacoError('FULL', `calls before open() must be 1000 at most, got ${dropped} more: they were dropped`));
  }

  /** Counts and reports a call that was refused before the recorder was opened. */
  countRefused(errors: readonly FondacoError[]): void {
    this.#calls += errors.length;
    this.#refused += errors.length;
    for (const error of errors) this.#reports.report(error);
  }

  /**
   * Resolves when everything recorded so far is settled by a proxy, dropped with notice, or in a synced spool. Rejects UNAVAILABLE after
   * 10 s, or when `signal` is aborted.
   */
  async flush(signal?: AbortSignal): Promise<void> {
    if (this.#keeper.isLinkDown) this.#keeper.wantSpill();
    const open = LANES.map((lane) => this.#keeper.own.stores[lane]).filter((store) => store.durable < store.last);
    const marks = open.map((store) => ({ store, seq: store.lost.lastKept(store.last) }));
    await this.#waiters.flushed(marks, this.#waiting(signal));
  }

  /**
   * Ends the recorder: no more calls are taken; what is held is settled, within 2 s, or spilled. Rejects UNAVAILABLE if some events were
   * neither, and so are lost. A second call waits for the first.
   */
  close(): Promise<void> {
    this.#closing ??= this.#end.close().finally(() => (this.#isClosed = true));
    return this.#closing;
  }

  /** What became of every call so far: `recorded = settled + spooled + queued + dropped + rejected`. Synchronous, and cheap. */
  status(): RecorderStatus {
    return statusOf({
      keeper: this.#keeper,
      link: this.#link,
      proxy: this.#proxy,
      isClosed: this.#isClosed,
      calls: this.#calls,
      refused: this.#refused,
      late: this.#late,
      lastError: this.#reports.last,
    });
  }

  #check(type: unknown, severity: unknown, message: unknown, details: unknown): EventFields | undefined {
    try {
      return checkCall({ type, severity, message, details }, this.#settings, this.#clock.now());
    } catch (thrown) {
      this.#refuse(thrown, this.#settings.strict);
      return undefined;
    }
  }

  /** Counts a mistake in a call, and reports it where it is not thrown. */
  #refuse(thrown: unknown, isThrown = false): void {
    const error = asRejected(thrown);
    this.#refused++;
    if (isThrown) throw error;
    this.#reports.report(error);
  }

  #take(fields: EventFields): Taken | undefined {
    if (!this.#closing) return this.#intake.take(fields);
    this.#late++;
    this.#reports.reportBurst(new FondacoError('FULL', 'the recorder must be open, got an event after its close: it was dropped'));
    return undefined;
  }

  /** Also those whom the host's log does not reach are to know: destinations get it as an event. */
  #recordDamage(damage: SpoolDamage): void {
    this.#calls++;
    this.#take(damageEvent(damage, this.#settings, this.#clock.now()));
  }

  #waiting(signal: AbortSignal | undefined): DurableWait {
    return { clock: this.#waitClock, limitMs: DURABLE_MS, lastError: () => this.#reports.last, ...(signal && { signal }) };
  }

  #changed(store: SeriesStore): void {
    this.#waiters.changed(store);
    this.#changeBell.ring();
    this.#keeperBell.ring();
    // An older life that is settled makes way for the next.
    if (store.isSettled) this.#sessionBell.ring();
  }

  #rejected(store: SeriesStore, rejections: readonly Rejection[]): void {
    this.#waiters.rejected(store, rejections);
    for (const { seq, reason } of rejections) this.#reports.report(new FondacoError('REJECTED', `event ${store.id}-${seq}: ${reason}`));
  }

  #linked(link: LinkState, proxy: string): void {
    const wasDown = this.#keeper.isLinkDown;
    this.#proxy = proxy;
    if (link.state === 'up' || !wasDown || link.state === 'down') this.#link = link;
    if (link.state === 'down') {
      this.#keeper.isLinkDown = true;
      if (this.#toldOf.has(link.error.code)) this.#reports.note(link.error);
      else this.#reports.report(link.error);
      this.#toldOf.add(link.error.code);
    } else if (link.state === 'up') {
      this.#keeper.isLinkDown = false;
      this.#toldOf.clear();
    }
    this.#keeperBell.ring();
    this.#changeBell.ring();
  }
}

/** A number in [0, 1). */
function chance(): number {
  return randomInt(2 ** 32) / 2 ** 32;
}

function checked(check: () => EventFields, onMistake: () => void): EventFields {
  try {
    return check();
  } catch (error) {
    onMistake();
    throw asRejected(error);
  }
}
