/**
 * What went wrong, named by what the one who catches it must do:
 *
 * - `CONFIG`       a setting or argument is wrong: tell the person, do not retry (exit 78)
 * - `UNAVAILABLE`  not now: keep everything, try again, not before `retryAfterMs`
 * - `REFUSED`      the destination will not have us: pause, keep everything, tell the person
 * - `REJECTED`     this event never: set it aside
 * - `FULL`         no room: slow the source
 * - `CORRUPT`      what was stored is damaged: keep the evidence
 */
export type ErrorCode = 'CONFIG' | 'UNAVAILABLE' | 'REFUSED' | 'REJECTED' | 'FULL' | 'CORRUPT';

/** What else is known of an error; each belongs to the codes that it names. */
export interface ErrorFacts {
  readonly cause?: unknown;
  /** UNAVAILABLE, FULL: the other side asked not to be tried before this many milliseconds. */
  readonly retryAfterMs?: number;
  /** UNAVAILABLE: the destination was not reached at all, so no other request to it can succeed either. */
  readonly unreachable?: boolean;
  /** UNAVAILABLE: somebody else holds it, and is alive. */
  readonly isHeld?: boolean;
  /** REJECTED: the batch was too large (413), so no event in it need be at fault. */
  readonly tooLarge?: boolean;
  /** Of a write: so many of its deliveries, from the first on, were taken over, and the error is about the one after them alone. */
  readonly taken?: number;
  /** REJECTED: the part of an event that is at fault, such as `object.kind`. */
  readonly field?: string;
  /** The destination's status, such as `503`. */
  readonly status?: string;
  /** What the destination answered, at most 2 KiB of it. */
  readonly answer?: string;
}

/** The one error class. The message begins with its code: `[REJECTED] message must be at most 8192 bytes, got 9000`. */
export class FondacoError extends Error {
  readonly code: ErrorCode;
  readonly facts: ErrorFacts;

  constructor(code: ErrorCode, text: string, facts: ErrorFacts = {}) {
    super(`[${code}] ${text}`, 'cause' in facts ? { cause: facts.cause } : undefined);
    this.name = 'FondacoError';
    this.code = code;
    this.facts = facts;
  }

  /** The message without its code. */
  get text(): string {
    return this.message.slice(this.code.length + 3);
  }
}

/** True for a FondacoError (of any loaded copy of this package), and of the given code if one is given. */
export function isFondacoError(error: unknown, code?: ErrorCode): error is FondacoError {
  return error instanceof Error && error.name === 'FondacoError' && 'code' in error && (code === undefined || error.code === code);
}

/** The error as an Error, whatever was thrown. */
export function asError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  try {
    return new Error(String(thrown));
  } catch {
    return new Error('something that cannot be shown was thrown');
  }
}
