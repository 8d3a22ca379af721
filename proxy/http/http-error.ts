/** What a request is answered when it is not answered well. Routes throw it; the surface's one error handler makes the answer of it. */
import { asError, isFondacoError } from '../../core/errors.ts';

export interface HttpErrorFacts {
  readonly cause?: unknown;
  /** The part of the request that is at fault: a parameter, a header, a member of the body. */
  readonly field?: string;
  /** 503, 507: not before this many milliseconds; told as `Retry-After`, in whole seconds. */
  readonly retryAfterMs?: number;
  /** More members of the answer, beside `error`. */
  readonly more?: object;
}

/** The codes of the answers' bodies, by status. */
const CODES = {
  400: 'BAD_REQUEST',
  401: 'UNAUTHENTICATED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  405: 'METHOD_NOT_ALLOWED',
  408: 'TIMEOUT',
  409: 'CONFLICT',
  413: 'TOO_LARGE',
  415: 'UNSUPPORTED_MEDIA_TYPE',
  431: 'TOO_LARGE',
  500: 'INTERNAL',
  503: 'UNAVAILABLE',
  507: 'FULL',
} as const;

export type HttpStatus = keyof typeof CODES;

export class HttpError extends Error {
  readonly status: number;
  readonly code: string;
  readonly facts: HttpErrorFacts;

  /** `message`: what must be, and what it got. */
  constructor(status: HttpStatus, message: string, facts: HttpErrorFacts = {}) {
    super(message, 'cause' in facts ? { cause: facts.cause } : undefined);
    this.name = 'HttpError';
    this.status = status;
    this.code = CODES[status];
    this.facts = facts;
  }

  /** The answer's body. */
  get body(): object {
    const { message, code, facts } = this;
    return { error: { code, message, ...(facts.field !== undefined && { field: facts.field }) }, ...facts.more };
  }
}

/** The answer to whatever was thrown; 500 for what is not the request's fault and not one of the journal's states. */
export function httpErrorOf(thrown: unknown): HttpError {
  if (thrown instanceof HttpError) return thrown;
  const error = asError(thrown);
  if (isFondacoError(error)) {
    const { text, facts } = error;
    const { retryAfterMs = 1000 } = facts;
    if (error.code === 'UNAVAILABLE') return new HttpError(503, text, { cause: error, retryAfterMs });
    if (error.code === 'FULL') return new HttpError(507, text, { cause: error, retryAfterMs });
    if (error.code === 'REJECTED') return new HttpError(400, text, { cause: error });
    return new HttpError(500, text, { cause: error });
  }
  // The framework's own errors bear a status: a body that is no JSON, a type that it does not read, an address that is none.
  const status = 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500;
  if (status >= 500) return new HttpError(500, error.message, { cause: error });
  return new HttpError(status in CODES ? (status as HttpStatus) : 400, error.message, { cause: error });
}
