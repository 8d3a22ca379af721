/**
 * What a PostgreSQL says, by its SQLSTATE (its documentation, appendix A):
 *
 * | SQLSTATE | becomes |
 * |---|---|
 * | 08, 40 (serialization, deadlock), 53 (disk full, too many connections), 55 (locked), 57 (shutting down, cancelled), 58, XX; 25006 (a standby) | UNAVAILABLE |
 * | 22, 23, 54, P0: a value, a constraint, a limit, a trigger | REJECTED: an event in the batch |
 * | 28, 3D, 3F, 42, 0A, 57P04: password, database, schema, permission, shape of the table | REFUSED |
 * | any other | UNAVAILABLE |
 */
import { FondacoError, type ErrorCode } from '../../core/errors.ts';
import { networkReason } from '../network-errors.ts';
import type { Secrets } from '../secrets.ts';

const BY_CLASS: Readonly<Record<string, ErrorCode>> = {
  '22': 'REJECTED',
  '23': 'REJECTED',
  '54': 'REJECTED',
  P0: 'REJECTED',
  '28': 'REFUSED',
  '3D': 'REFUSED',
  '3F': 'REFUSED',
  '42': 'REFUSED',
  '0A': 'REFUSED',
};
const DATABASE_DROPPED = '57P04';
const UNDEFINED_TABLE = '42P01';

/** The part of pg's errors that is looked at. */
interface ServerError extends Error {
  /** SQLSTATE. */
  readonly code: string;
  readonly severity: string;
  readonly detail?: string;
}

/** What went wrong, in our words. `isEvents`: whether events were on their way, so that one of them may be at fault. */
export function postgresError(error: unknown, what: string, { isEvents, secrets }: { isEvents: boolean; secrets: Secrets }): FondacoError {
  if (error instanceof FondacoError) return error;
  if (!isServerError(error)) {
    // pg's own, about a password that it does not have or that a server did not prove to know.
    const code = error instanceof Error && error.message.startsWith('SASL') ? 'REFUSED' : 'UNAVAILABLE';
    const unreachable = code === 'UNAVAILABLE' && !isEvents ? { unreachable: true } : {};
    return new FondacoError(code, `${what} failed: ${secrets.hide(networkReason(error))}`, { cause: error, ...unreachable });
  }
  const { code: state, message, detail = '' } = error;
  const meant = state === DATABASE_DROPPED ? 'REFUSED' : (BY_CLASS[state.slice(0, 2)] ?? 'UNAVAILABLE');
  const code = meant === 'REJECTED' && !isEvents ? 'REFUSED' : meant;
  const answer = secrets.hide(detail === '' ? message : `${message}\n${detail}`);
  return new FondacoError(code, `${what} refused: ${secrets.hide(message)} (${state})`, { cause: error, status: state, answer });
}

/** Whether the server itself said something, as opposed to the network or pg. */
export function isServerError(error: unknown): error is ServerError {
  return error instanceof Error && 'severity' in error && 'code' in error && typeof error.code === 'string';
}

/** What is written to or read is not there (any more). */
export function isTableGone(error: unknown): boolean {
  return isServerError(error) && error.code === UNDEFINED_TABLE;
}

/** The server is going, or has gone, and with it what it was told in this session. */
export function isSessionLost(error: unknown): boolean {
  return isServerError(error) ? /^(57P|08)/.test(error.code) : error instanceof Error && !(error instanceof FondacoError);
}
