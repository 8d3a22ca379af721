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
  417: 'EXPECTATION_FAILED',
  431: 'TOO_LARGE',
  500: 'INTERNAL',
  503: 'UNAVAILABLE',
  507: 'FULL',
} as const;

/** Of a name or id in a path, in characters; what is longer is none. */
export const NAME_CHARS_MAX = 1024;

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
export function httpErrorOf(thrown: unknown, request?: Asked): HttpError {
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
  // The framework's own errors bear a status and a code: a type that it does not read, an address that is none.
  const ours = 'code' in error && frameworkError(String(error.code), request);
  if (ours) return ours;
  const status = 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500;
  if (status >= 500) return new HttpError(500, error.message, { cause: error });
  return new HttpError(status in CODES ? (status as HttpStatus) : 400, error.message, { cause: error });
}

/** What of a request the framework's errors leave out. */
export interface Asked {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly routeOptions: { readonly bodyLimit?: number | undefined };
}

/** The framework's errors that people meet, in words of ours: what must be, and what it got. */
function frameworkError(code: string, request: Asked | undefined): HttpError | undefined {
  if (code === 'FST_ERR_BAD_URL') return new HttpError(400, 'the path must be percent-encoded UTF-8, got another', { field: 'path' });
  if (code === 'FST_ERR_MAX_PARAM_LENGTH')
    return new HttpError(400, `a name in the path must be at most ${NAME_CHARS_MAX} characters, got a longer one`, { field: 'path' });
  if (code === 'FST_ERR_CTP_INVALID_CONTENT_LENGTH')
    return new HttpError(400, 'body must be as long as content-length says, got another length', { field: 'body' });
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    const got = request?.headers['content-type'];
    const shown = typeof got === 'string' ? JSON.stringify(got.slice(0, 60)) : 'none';
    return new HttpError(415, `content-type must be application/json, got ${shown}`, { field: 'content-type' });
  }
  if (code !== 'FST_ERR_CTP_BODY_TOO_LARGE') return undefined;
  const length = request?.headers['content-length'];
  const got = typeof length === 'string' ? length : 'more';
  return new HttpError(413, `body must be at most ${request?.routeOptions.bodyLimit} bytes, got ${got}`, { field: 'body' });
}
