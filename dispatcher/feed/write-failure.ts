import { asError, FondacoError, isFondacoError, type ErrorFacts } from '../../core/errors.ts';
import { cutText } from '../../core/short-error.ts';

/** Of a message, so that it has room in 2 KiB with its code before it. */
const TEXT_BYTES_MAX = 2000;
const STATUS_CHARS_MAX = 100;
/** No destination may ask for a longer pause. */
const RETRY_AFTER_MS_MAX = 24 * 3600 * 1000;

const CODES: readonly string[] = ['CONFIG', 'UNAVAILABLE', 'REFUSED', 'REJECTED', 'FULL', 'CORRUPT'];

/**
 * What a write threw, as an error with a code whose facts are what they should be: writers may be anybody's, and what they throw goes into
 * rows and events. What has no code, or none of ours, is UNAVAILABLE: a bug of a writer must not set events aside.
 */
export function asFailure(thrown: unknown): FondacoError {
  if (!isFondacoError(thrown) || !CODES.includes(thrown.code)) {
    return new FondacoError('UNAVAILABLE', textOf(asError(thrown)), { cause: thrown });
  }
  const prefix = `[${thrown.code}] `;
  const text = textOf(thrown);
  return new FondacoError(thrown.code, text.startsWith(prefix) ? text.slice(prefix.length) : text, goodFacts(thrown));
}

function goodFacts({ facts, cause }: FondacoError): ErrorFacts {
  const { retryAfterMs, unreachable, tooLarge, taken, field, status, answer } = (facts as ErrorFacts | null | undefined) ?? {};
  return {
    ...(cause !== undefined && { cause }),
    ...(typeof retryAfterMs === 'number' && retryAfterMs > 0 && { retryAfterMs: Math.min(retryAfterMs, RETRY_AFTER_MS_MAX) }),
    ...(unreachable === true && { unreachable }),
    ...(tooLarge === true && { tooLarge }),
    ...(typeof taken === 'number' && Number.isInteger(taken) && taken >= 0 && { taken }),
    ...(typeof field === 'string' && { field: field.slice(0, STATUS_CHARS_MAX) }),
    ...(typeof status === 'string' && { status: status.slice(0, STATUS_CHARS_MAX) }),
    ...(typeof answer === 'string' && { answer: cutText(answer) }),
  };
}

function textOf({ message, name }: Error): string {
  const text: unknown = message;
  return typeof text === 'string' && text !== '' ? cutText(text, TEXT_BYTES_MAX) : `${name} without a message`;
}
