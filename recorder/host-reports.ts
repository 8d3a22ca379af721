import type { Clock } from '../core/clock.ts';
import { asError, FondacoError, isFondacoError } from '../core/errors.ts';

const BURST_MS = 1_000;

/** Tells the host what went wrong, without ever harming it. */
export class Reports {
  /** The last thing that went wrong. */
  last: FondacoError | undefined;
  readonly #onError: (error: FondacoError) => void;
  readonly #clock: Clock;
  #burstUntil = Number.NEGATIVE_INFINITY;

  constructor(onError: ((error: FondacoError) => void) | undefined, clock: Clock) {
    this.#onError = onError ?? warn;
    this.#clock = clock;
  }

  report(error: FondacoError): void {
    this.last = error;
    try {
      this.#onError(error);
    } catch (thrown) {
      // A bug in the host's callback must not end its process from within event().
      process.emitWarning(`onError of a Fondaco recorder threw ${String(thrown)}`);
    }
  }

  /** For what comes with every call: at most one report a second. */
  reportBurst(error: FondacoError): void {
    const now = this.#clock.monotonic();
    if (now < this.#burstUntil) return;
    this.#burstUntil = now + BURST_MS;
    this.report(error);
  }

  /** For what is to be seen in status() only. */
  note(error: FondacoError): void {
    this.last = error;
  }
}

function warn(error: FondacoError): void {
  process.emitWarning(error.message, 'FondacoWarning');
}

/** What failed, in words, and why. */
export function asUnavailable(what: string, error: unknown): FondacoError {
  return new FondacoError('UNAVAILABLE', `${what}, got ${asError(error).message}`, { cause: error });
}

/** What a call's check threw: a getter or a toJSON of the caller's may throw anything. */
export function asRejected(thrown: unknown): FondacoError {
  if (isFondacoError(thrown)) return thrown;
  return new FondacoError('REJECTED', `event must be readable, got ${asError(thrown).message}`, { cause: thrown });
}
