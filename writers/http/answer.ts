/**
 * What a subscriber's answer means (design section 5):
 *
 * | answer | becomes |
 * |---|---|
 * | 2xx | taken |
 * | 408, 409, 425, 429, 5xx | UNAVAILABLE, not before Retry-After |
 * | 400, 413 (too large), 422 | REJECTED: an event in the batch |
 * | any other 3xx (redirects are not followed) or 4xx | REFUSED |
 */
import { FondacoError, type ErrorFacts } from '../../core/errors.ts';
import type { Secrets } from '../secrets.ts';

export type Headers = Readonly<Record<string, string | string[] | undefined>>;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** What `readAnswer` kept of the body. */
  readonly text: string;
}

/** How much of an answer is kept for people, in bytes. */
const ANSWER_BYTES = 2048;
/** An answer longer than this is not read to its end: the connection is closed instead. */
const BODY_BYTES_MAX = 64 * 1024;
/** Nor one that takes longer than this after its status: the status has decided, and the next batch is not to wait for a body without end. */
export const BODY_MS_MAX = 1000;
/** What is asked beyond this is a mistake: nobody would see the writer come back. */
const RETRY_AFTER_MS_MAX = 86_400_000;
/** 4xx that speak of the moment, not of us and not of the event: timeout, conflict, too early, too many requests. */
const PASSING = new Set([408, 409, 425, 429]);

/**
 * The error that an answer is, or undefined for one that says taken. `what`: the request, for people. `isInHeaders`: the event is in the headers of
 * its request (binary CloudEvents), so it is its own fault if they are too large (431).
 */
export function refusal(what: string, { status, headers, text }: Answer, now: number, isInHeaders = false): FondacoError | undefined {
  if (status >= 200 && status <= 299) return undefined;
  const message = `${what} must be answered with 2xx, got ${status}`;
  const facts: ErrorFacts = { status: String(status), ...(text === '' ? {} : { answer: text }) };
  if (status === 413) return new FondacoError('REJECTED', message, { ...facts, tooLarge: true });
  if (status === 400 || status === 422 || (status === 431 && isInHeaders)) return new FondacoError('REJECTED', message, facts);
  if (status >= 500 || PASSING.has(status)) {
    const retryAfterMs = retryAfter(headers, now);
    return new FondacoError('UNAVAILABLE', message, retryAfterMs === undefined ? facts : { ...facts, retryAfterMs });
  }
  return new FondacoError('REFUSED', message, facts);
}

/**
 * Reads the body to its end, so that the connection can be used again, and keeps the first 2 KiB as text that is safe to show, without the
 * secrets that we sent. Never rejects: the status has decided already.
 */
export async function readAnswer(body: AsyncIterable<Buffer>, secrets: Secrets): Promise<string> {
  const kept: Buffer[] = [];
  const keptMax = ANSWER_BYTES + secrets.bytesMax;
  let bytes = 0;
  try {
    for await (const chunk of body) {
      if (bytes < keptMax) kept.push(chunk.subarray(0, keptMax - bytes));
      bytes += chunk.length;
      if (bytes > BODY_BYTES_MAX) break; // destroys the body, and the connection with it
    }
  } catch {
    // An answer cut short after its status: what came of it is what a person can be shown.
  }
  return shown(secrets.hide(Buffer.concat(kept).toString('utf8')));
}

/** Binary and control characters become one mark each, and the whole stays within its 2 KiB. */
function shown(raw: string): string {
  const text = raw.replaceAll(/[^\P{Cc}\n\t]/gu, '\u{fffd}');
  if (Buffer.byteLength(text) <= ANSWER_BYTES) return text;
  return new TextDecoder().decode(Buffer.from(text).subarray(0, ANSWER_BYTES), { stream: true });
}

/**
 * Retry-After (RFC 9110, section 10.2.3): seconds, or a date, which is measured by the answer's own Date where it has one, because their
 * clock need not be ours. A past date is now; what is neither is as if it were not there.
 */
function retryAfter(headers: Headers, now: number): number | undefined {
  const value = one(headers['retry-after'])?.trim() ?? '';
  if (/^\d+$/.test(value)) return Math.min(Number(value) * 1000, RETRY_AFTER_MS_MAX);
  const at = httpDate(value);
  if (at === undefined) return undefined;
  const theirs = dateOf(headers) ?? now;
  return Math.min(Math.max(0, at - theirs), RETRY_AFTER_MS_MAX);
}

/** What the answer's `Date` says, wall clock in ms; undefined where it has none. */
export function dateOf(headers: Headers): number | undefined {
  return httpDate(one(headers.date)?.trim() ?? '');
}

/** An HTTP date in any of its three forms (RFC 9110, section 5.6.7). Date.parse alone would take `-5` for one, and asctime's for local time. */
function httpDate(value: string): number | undefined {
  if (!/^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)/.test(value)) return undefined;
  const at = Date.parse(value.endsWith('GMT') ? value : `${value} GMT`);
  return Number.isNaN(at) ? undefined : at;
}

function one(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
