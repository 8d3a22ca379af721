import type { Clock } from '../../core/clock.ts';
import type { Lane } from '../../core/lane.ts';
import type { HttpSettings } from './settings.ts';

/** The urgent lane may take so much of the limit, and waits for nothing else; the rest is the normal lane's, as in the feed's order. */
const URGENT_SHARE = 4 / 5;
/** A timer takes no more than some weeks. */
const SLEEP_MS_MAX = 3_600_000;

/**
 * Holds requests back so that on average not more is sent than the limits allow. What is sent is paid for afterwards: after a request nothing
 * goes out until its events and its bytes fit. An urgent request does not wait for normal ones to be paid, they wait for it.
 */
export class Pace {
  readonly #clock: Clock;
  readonly #msPerEvent: number;
  readonly #msPerByte: number;
  /** When what was sent is paid for, on the monotonic clock: the urgent lane's by its share, and all of it. */
  #urgentFreeAt = 0;
  #allFreeAt = 0;

  constructor(clock: Clock, limit: HttpSettings['limit'] = {}) {
    this.#clock = clock;
    this.#msPerEvent = limit.eventsPerSecond === undefined ? 0 : 1000 / limit.eventsPerSecond;
    this.#msPerByte = limit.bytesPerSecond === undefined ? 0 : 1000 / limit.bytesPerSecond;
  }

  /** Resolves when the request may go out, which it then must, or when `signal` is aborted. */
  async turn(lane: Lane, { events, bytes }: { readonly events: number; readonly bytes: number }, signal: AbortSignal): Promise<void> {
    const costMs = Math.max(events * this.#msPerEvent, bytes * this.#msPerByte);
    if (costMs === 0) return;
    for (;;) {
      if (signal.aborted) return;
      const waitMs = (lane === 'urgent' ? this.#urgentFreeAt : this.#allFreeAt) - this.#clock.monotonic();
      if (waitMs <= 0) break;
      await this.#clock.sleep(Math.min(Math.ceil(waitMs), SLEEP_MS_MAX), signal);
    }
    const now = this.#clock.monotonic();
    this.#allFreeAt = Math.max(now, this.#allFreeAt) + costMs;
    if (lane === 'urgent') this.#urgentFreeAt = Math.max(now, this.#urgentFreeAt) + costMs / URGENT_SHARE;
  }
}
