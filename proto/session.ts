/**
 * The client session of the Record stream, a recorder's: connects, sends, takes replies, tries again.
 * It holds no events: it asks each series for what follows `sent`, and tells it what became of that.
 *
 * - One stream at a time, to one of the proxies; after a failure the next in the list, and a wait when all were tried.
 * - At most 4 MiB and 64 batches on their way, and of the normal lane what its congestion window allows. A batch is at most 1,000 events
 *   and about 1 MiB, and no larger than that window.
 * - Series are asked in the order they are given, so urgent first; after four batches a later one gets its turn.
 * - A link that says nothing for REPLY_MS while batches are on their way has failed, whatever TCP believes.
 * - grpc-js keeps the process alive while a call is open. So after LINGER_MS with nothing to do the call is half-closed, and cancelled if
 *   the proxy does not end it soon: an idle host may exit. The connection stays, unreferenced.
 */
import { retryWaitMs, type RetryPolicy } from '../core/backoff.ts';
import type { Batch, BatchReply, LostRange } from '../core/batch.ts';
import type { Clock } from '../core/clock.ts';
import { asError, FondacoError } from '../core/errors.ts';
import type { FramedEvents } from './batch-codec.ts';
import type { Bell } from '../core/bell.ts';
import { CongestionWindow } from './congestion-window.ts';
import { linkError } from './link-error.ts';
import { RecordClient, type LinkSecurity, type RecordLink, type RecordStream } from './record-client.ts';
import type { ReplyOutcome, SendWindow } from './send-window.ts';

const BATCH_EVENTS_MAX = 1000;
const BATCH_BYTES_MAX = 1024 * 1024;
const FLIGHTS_MAX = 64;
const FLIGHT_BYTES_MAX = 4 * 1024 * 1024;
/** Batches of earlier series in a row before a later one gets its turn. */
const TURNS_MAX = 4;
const CONNECT_MS = 5_000;
const REPLY_MS = 10_000;
const LINGER_MS = 500;
const END_MS = 500;
const RETRY: RetryPolicy = { policy: 'backoff', initialMs: 100, maxMs: 5_000 };

/** At most this much in one batch; one event may be larger than `bytesMax`. */
export interface CutLimits {
  readonly eventsMax: number;
  readonly bytesMax: number;
}

/** What follows `sent` in a series: the seqs up to `last`, as events and as lost ranges. */
export interface Cut {
  readonly last: number;
  readonly events: FramedEvents;
  /** In order, between `sent` + 1 and `last`. */
  readonly lost: readonly LostRange[];
  readonly isClosing?: boolean;
}

/** A series as the session sees it. */
export interface OutgoingSeries {
  readonly window: SendWindow;
  /** Something follows `window.sent`. Cheap: asked often. */
  readonly hasMore: boolean;
  /**
   * Not to be read before this moment of the monotonic clock: what it holds cannot be read now. The other series go on. Without a moment
   * (Infinity) its owner rings the bell. Kept by the series, so that it outlives a stream.
   */
  readonly readableAtMs?: number;
  /**
   * What follows `window.sent`; `undefined` if there is nothing after all, or if it cannot be read now (then `readableAtMs` says so). One
   * call at a time. The slices are copied before anything else happens. Rejecting fails the link, so that it is tried again after a wait.
   */
  read(limits: CutLimits): Cut | undefined | Promise<Cut | undefined>;
  /** A reply was taken into the window: forget what is settled, note the rejections. */
  replied(reply: BatchReply, outcome: ReplyOutcome): void;
}

/** connecting: nothing known yet. up: the proxy answers. down: the last attempt failed. */
export type LinkState = { readonly state: 'connecting' | 'up' } | { readonly state: 'down'; readonly error: FondacoError };

export interface SessionParts {
  /** `host:port` or `unix:/path`, in the order in which they are tried. */
  readonly proxies: readonly string[];
  readonly sender: Batch['sender'];
  /** Default: neither TLS nor a token. */
  readonly security?: LinkSecurity;
  /** Makes a link to a proxy; over gRPC by default. */
  readonly connect?: ((proxy: string, security: LinkSecurity | undefined) => RecordLink) | undefined;
  /** The series that may be sent now, first come first served; asked again before every batch. */
  readonly series: () => readonly OutgoingSeries[];
  /** Rung by the owner when there is more to send. */
  readonly bell: Bell;
  readonly clock: Clock;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  readonly onLink?: (link: LinkState, proxy: string) => void;
}

/** Sends what the series hold until `signal` is aborted; then drops the stream and resolves. Never rejects: a failed link is tried again. */
export async function runSession(parts: SessionParts, signal: AbortSignal): Promise<void> {
  const { bell, clock, connect = overGrpc } = parts;
  const wake = (): void => bell.ring();
  signal.addEventListener('abort', wake, { once: true });
  const congestion = new CongestionWindow(FLIGHT_BYTES_MAX);
  let client: RecordLink | undefined;
  let failures = 0;
  let next = 0;
  while (!signal.aborted) {
    const readableAt = nextReadable(parts.series());
    if (readableAt > clock.monotonic()) {
      await bell.wait(clock, readableAt - clock.monotonic());
      continue;
    }
    const proxy = parts.proxies[next % parts.proxies.length]!;
    let stream: Stream | undefined;
    try {
      client ??= connect(proxy, parts.security);
      stream = new Stream(parts, client, congestion, () => void (failures = 0));
      await stream.run(signal);
    } catch (error) {
      client?.close();
      client = undefined;
      failures++;
      next++;
      stream?.reset();
      if (signal.aborted) break;
      parts.onLink?.({ state: 'down', error: linkError(error, proxy, parts.security) }, proxy);
      const rounds = Math.ceil(failures / parts.proxies.length);
      if (failures % parts.proxies.length === 0) await clock.sleep(retryWaitMs(RETRY, rounds, parts.random), signal);
    }
  }
  signal.removeEventListener('abort', wake);
  client?.close();
}

const overGrpc = (proxy: string, security?: LinkSecurity): RecordLink => new RecordClient(proxy, security);

/** When the first series that has more may be read; Infinity if none has. */
function nextReadable(all: readonly OutgoingSeries[]): number {
  let at = Number.POSITIVE_INFINITY;
  for (const series of all) if (series.hasMore) at = Math.min(at, series.readableAtMs ?? 0);
  return at;
}

interface SentBatch {
  readonly series: OutgoingSeries;
  readonly bytes: number;
  readonly at: number;
}

/** One Record call, from its first batch to its half-close. */
class Stream {
  readonly #parts: SessionParts;
  readonly #client: RecordLink;
  readonly #congestion: CongestionWindow;
  readonly #onAnswer: () => void;
  readonly #flights: SentBatch[] = [];
  readonly #throttledUntil = new Map<SendWindow, number>();
  #call: RecordStream | undefined;
  #flightBytes = 0;
  #repliedAt = -Infinity;
  #isNamed = false;
  #isUp = false;
  #turns = 0;
  #failure: Error | undefined;
  #isEnded = false;

  constructor(parts: SessionParts, client: RecordLink, congestion: CongestionWindow, onAnswer: () => void) {
    this.#parts = parts;
    this.#client = client;
    this.#congestion = congestion;
    this.#onAnswer = onAnswer;
  }

  /** Resolves when there was nothing to do for a while, or when `signal` is aborted; rejects when the link failed. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, bell } = this.#parts;
    const openedAt = clock.monotonic();
    if (!this.#client.isReady()) this.#parts.onLink?.({ state: 'connecting' }, this.#client.proxy);
    this.#call = this.#client.record({
      reply: (reply) => this.#take(reply),
      end: (error) => {
        this.#failure ??= error;
        this.#isEnded = true;
        bell.ring();
      },
    });
    try {
      let idleSince: number | undefined;
      while (!signal.aborted) {
        if (await this.#sendSome(signal)) continue;
        this.#check(openedAt);
        const now = clock.monotonic();
        if (this.#flights.length > 0 || this.#throttledUntil.size > 0) idleSince = undefined;
        else idleSince ??= now;
        if (idleSince !== undefined && now - idleSince >= LINGER_MS) {
          await this.#halfClose();
          return;
        }
        await bell.wait(clock, this.#waitMs(now, openedAt, idleSince));
      }
    } finally {
      this.#call.cancel();
    }
  }

  /** After a failure: everything unanswered is to be sent again. */
  reset(): void {
    if (this.#flights.length > 0) this.#congestion.failed();
    for (const series of [...this.#parts.series(), ...this.#flights.map((flight) => flight.series)]) series.window.reset();
  }

  /** Sends one batch if there is one and room for it. */
  async #sendSome(signal: AbortSignal): Promise<boolean> {
    if (this.#failure || this.#isEnded || this.#isFull) return false;
    const series = this.#pick();
    if (!series) return false;
    const limits = { eventsMax: BATCH_EVENTS_MAX, bytesMax: Math.min(BATCH_BYTES_MAX, this.#congestion.bytes) };
    const { sent } = series.window;
    const read = series.read(limits);
    const cut = read instanceof Promise ? await read : read;
    // While the disk was read, a reply may have moved `sent`, and the stream may have failed.
    if (!cut) return (series.readableAtMs ?? 0) > this.#parts.clock.monotonic(); // the others get their turn at once
    if (signal.aborted || this.#failure || series.window.sent !== sent) return true;
    this.#write(series, cut);
    return true;
  }

  get #isFull(): boolean {
    return this.#flights.length >= FLIGHTS_MAX || this.#flightBytes >= FLIGHT_BYTES_MAX;
  }

  /** Since when the link says nothing, while batches are on their way. */
  get #silentSince(): number {
    return this.#flights[0] ? Math.max(this.#flights[0].at, this.#repliedAt) : Infinity;
  }

  #pick(): OutgoingSeries | undefined {
    const now = this.#parts.clock.monotonic();
    for (const [window, until] of this.#throttledUntil) if (until <= now) this.#throttledUntil.delete(window);
    const ready = this.#parts
      .series()
      .filter(({ hasMore, readableAtMs = 0, window }) => hasMore && readableAtMs <= now && !this.#throttledUntil.has(window))
      .filter(({ window }) => window.lane === 'urgent' || this.#flightBytes < this.#congestion.bytes);
    if (ready.length > 1 && this.#turns >= TURNS_MAX) {
      this.#turns = 0;
      return ready[1];
    }
    this.#turns = ready.length > 1 ? this.#turns + 1 : 0;
    return ready[0];
  }

  #write(series: OutgoingSeries, cut: Cut): void {
    const { window } = series;
    const isClosing = cut.isClosing ?? false;
    const header = window.send(cut.last, { isClosing });
    const sender = this.#isNamed ? { node: '', component: '' } : this.#parts.sender;
    this.#isNamed = true;
    const batch = { series: window.series, lane: window.lane, lost: cut.lost, events: cut.events, isClosing, sender, ...header };
    const bytes = this.#call!.send(batch);
    this.#flightBytes += bytes;
    this.#flights.push({ series, bytes, at: this.#parts.clock.monotonic() });
  }

  #take(reply: BatchReply): void {
    if (this.#failure) return;
    const flight = this.#flights.shift();
    try {
      if (!flight || Buffer.compare(flight.series.window.series, reply.series) !== 0) {
        throw new FondacoError('UNAVAILABLE', 'replies must come in the order of the batches, got one of another series');
      }
      this.#repliedAt = this.#parts.clock.monotonic();
      this.#congestion.answered(flight.bytes, this.#flightBytes, this.#repliedAt - flight.at);
      this.#flightBytes -= flight.bytes;
      const { window } = flight.series;
      const outcome = window.reply(reply);
      if (outcome === 'throttled') this.#throttledUntil.set(window, this.#parts.clock.monotonic() + (reply.throttleMs ?? 0));
      this.#onAnswer();
      if (!this.#isUp) {
        this.#isUp = true;
        this.#parts.onLink?.({ state: 'up' }, this.#client.proxy);
      }
      flight.series.replied(reply, outcome);
    } catch (error) {
      this.#failure = asError(error);
    }
    this.#parts.bell.ring();
  }

  /** Throws if the link has failed. */
  #check(openedAt: number): void {
    if (this.#failure) throw this.#failure;
    if (this.#isEnded) throw new FondacoError('UNAVAILABLE', 'the proxy ended the stream');
    const now = this.#parts.clock.monotonic();
    if (!this.#isUp && now - openedAt >= CONNECT_MS && !this.#client.isReady()) {
      throw new FondacoError('UNAVAILABLE', `no connection within ${CONNECT_MS / 1000} s`);
    }
    if (now - this.#silentSince >= REPLY_MS) throw new FondacoError('UNAVAILABLE', `no reply within ${REPLY_MS / 1000} s`);
  }

  /** Until the next moment at which something is to be looked at without having been rung. */
  #waitMs(now: number, openedAt: number, idleSince: number | undefined): number {
    let until = Number.POSITIVE_INFINITY;
    if (idleSince !== undefined) until = idleSince + LINGER_MS;
    for (const moment of this.#throttledUntil.values()) until = Math.min(until, moment);
    for (const { hasMore, readableAtMs = 0 } of this.#parts.series())
      if (hasMore && readableAtMs > now) until = Math.min(until, readableAtMs);
    until = Math.min(until, this.#silentSince + REPLY_MS);
    if (this.#flights.length > 0 && !this.#isUp && openedAt + CONNECT_MS > now) until = Math.min(until, openedAt + CONNECT_MS);
    return until - now;
  }

  /** Everything was answered: says goodbye, and does not keep the host alive for the answer. */
  async #halfClose(): Promise<void> {
    const { clock, bell } = this.#parts;
    this.#call!.end();
    const until = clock.monotonic() + END_MS;
    for (let now = clock.monotonic(); !this.#isEnded && now < until; now = clock.monotonic()) await bell.wait(clock, until - now);
    bell.ring(); // what rang meanwhile may have been more to send
  }
}
