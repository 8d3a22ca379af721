/** What the story of `npm run demo` happens on: this process as an agent, a proxy and a subscriber as real processes, and its own judge. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import type { Ledger } from '../dispatcher/ledger/ledger.ts';
import { Recorder, type RecorderLedger } from '../recorder/index.ts';
import { Child, describeEnding } from './child.ts';
import type { Claim } from './claims.ts';
import { readRecord, withoutRepeats, type ReceivedEvent } from './event-record.ts';
import { freePorts } from './free-ports.ts';
import { ledgerOf, pendingOf, startProxy, writeProxyConfig, type ProxyPlace } from './proxy-process.ts';
import { until, type Look } from './until.ts';

export interface StageParts {
  readonly clock: Clock;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  readonly say: (line: string) => void;
}

export interface StageSettings {
  /** Everything is kept below it. */
  readonly folder: string;
  /** Such as `10s`: how long equal events are folded into one. */
  readonly dedupInterval: string;
  /** For the test of the judge: the subscriber loses this one of the events it acknowledges; 0 loses none. */
  readonly lose: number;
}

const WAIT_MS = 45_000;
const STOP_MS = 5000;

export class Stage {
  readonly recorder: Recorder;
  readonly claims: Claim[] = [];
  readonly #parts: StageParts;
  readonly #signal: AbortSignal;
  readonly #record: string;
  readonly #place: ProxyPlace;
  readonly #subscriber: Child;
  #proxy: Child | undefined;

  /** Starts a subscriber and a proxy. Rejects, and leaves nothing running, if one cannot be started or `signal` is aborted. */
  static async open({ folder, dedupInterval, lose }: StageSettings, parts: StageParts, signal: AbortSignal): Promise<Stage> {
    await mkdir(folder, { recursive: true });
    const record = join(folder, 'received.ndjson');
    const args = ['--record', record, '--quiet', '--lose', String(lose)];
    const subscriber = Child.start({ name: 'subscriber', program: 'demo/subscriber.ts', args });
    try {
      let url: string | undefined;
      void subscriber.ready.then((value) => (url = (value as { url: string }).url));
      const isReady = (): string | undefined => {
        if (subscriber.ending) throw new Error(`the subscriber could not be started: ${describeEnding(subscriber.ending)}`);
        return url;
      };
      const subscriberUrl = await until('the subscriber to be ready', isReady, { clock: parts.clock, limitMs: WAIT_MS, signal });
      const [grpcPort = 0, httpPort = 0] = await freePorts(2, parts.random);
      const place = await writeProxyConfig({ folder, grpcPort, httpPort, subscriberUrl, dedupInterval });
      const proxy = await startProxy(place, parts.clock, signal);
      const spool = { directory: join(folder, 'spool') };
      // What goes wrong is judged by its books; a link that is down is part of the story.
      const recorder = await Recorder.open({ component: 'demo', proxy: place.grpc, spool, onError: () => undefined });
      return new Stage({ recorder, record, place, subscriber, proxy }, parts, signal);
    } catch (error) {
      subscriber.kill('SIGKILL');
      throw error;
    }
  }

  private constructor(
    {
      recorder,
      record,
      place,
      subscriber,
      proxy,
    }: { recorder: Recorder; record: string; place: ProxyPlace; subscriber: Child; proxy: Child },
    parts: StageParts,
    signal: AbortSignal,
  ) {
    this.recorder = recorder;
    this.#parts = parts;
    this.#signal = signal;
    this.#record = record;
    this.#place = place;
    this.#subscriber = subscriber;
    this.#proxy = proxy;
  }

  get proxyPid(): number {
    return this.#proxy?.pid ?? 0;
  }

  get subscriberPid(): number {
    return this.#subscriber.pid;
  }

  get ledger(): RecorderLedger {
    return this.recorder.status().ledger;
  }

  say(line: string): void {
    this.#parts.say(line === '' ? '' : `   ${line}`);
  }

  title(line: string): void {
    this.#parts.say(`\n${line}`);
  }

  /** Notes a claim and shows whether it holds. */
  claim(claim: Claim): void {
    this.claims.push(claim);
    this.say(claim.problem === undefined ? `✓ ${claim.text}` : `✗ ${claim.text}: ${claim.problem}`);
  }

  async pause(ms: number): Promise<void> {
    await this.#parts.clock.sleep(ms, this.#signal);
    this.#signal.throwIfAborted();
  }

  async until<T>(what: string, look: Look<T>): Promise<T> {
    const lookAlive = (): ReturnType<typeof look> => {
      const dead = [this.#proxy, this.#subscriber].find((child) => child?.ending);
      if (dead?.ending) throw new Error(`the ${dead.name} ended in the middle of the story: ${describeEnding(dead.ending)}`);
      return look();
    };
    return until(what, lookAlive, { clock: this.#parts.clock, limitMs: WAIT_MS, signal: this.#signal });
  }

  /** Resolves when the process is gone. */
  async killProxy(): Promise<void> {
    this.#proxy?.kill('SIGKILL');
    await this.#proxy?.ended;
    this.#proxy = undefined;
  }

  async restartProxy(): Promise<void> {
    this.#proxy = await startProxy(this.#place, this.#parts.clock, this.#signal);
  }

  /** The subscriber's own record, in the order of arrival. */
  async record(): Promise<ReceivedEvent[]> {
    return readRecord(this.#record);
  }

  /** The same without repeats. */
  async events(): Promise<ReceivedEvent[]> {
    return withoutRepeats(await this.record());
  }

  /**
   * Resolves with the proxy's books when there is nothing on its way any more: all that was recorded is settled or
   * refused, all that is to be
   * delivered is acknowledged, no window holds a count. What is not in the subscriber's record then will not come.
   */
  async quiet(): Promise<Ledger> {
    return this.until('everything to be delivered', async () => {
      const { spooled, queued } = this.ledger;
      if (spooled + queued > 0) return undefined;
      const ledger = await ledgerOf(this.#place);
      return ledger && pendingOf(ledger) === 0 && ledger.windows.held === 0 ? ledger : undefined;
    });
  }

  /** Ends everything, in order. */
  async close(): Promise<void> {
    const { clock } = this.#parts;
    await this.recorder.close().catch(() => undefined); // its books have been judged
    await this.#proxy?.stop(clock, STOP_MS);
    await this.#subscriber.stop(clock, STOP_MS);
  }
}
