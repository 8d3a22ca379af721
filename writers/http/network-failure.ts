/** What the network did to a request, in our words. */
import { FondacoError } from '../../core/errors.ts';
import { isCutOff, isTlsAlert, networkReason } from '../network-errors.ts';
import type { Stop } from '../stop.ts';
import type { ConnectionPool } from './pool.ts';

export interface FailedRequest {
  /** The request, for people. */
  readonly what: string;
  readonly stop: Stop;
  readonly pool: ConnectionPool;
  /** What a server may mean that closes a connection without a word; '' for nothing. */
  readonly hint: string;
}

/** UNAVAILABLE, with the fact `unreachable` where no connection could be made; an error that is ours already stays as it is. */
export function networkFailure(error: unknown, { what, stop, pool, hint }: FailedRequest): FondacoError {
  if (error instanceof FondacoError) return error;
  const { why, limit } = stop;
  const unavailable = (text: string, isAway = false): FondacoError =>
    new FondacoError('UNAVAILABLE', what + text, { cause: error, ...(isAway && { unreachable: true }) });
  if (why === 'stopped') return unavailable(' was stopped');
  if (why !== undefined) return unavailable(` must be answered within ${limit}`);
  if (pool.isClosed) return unavailable(': this writer was closed');
  const reason = networkReason(error) + (isCutOff(error) ? hint : '');
  return unavailable(` failed: ${reason}`, isTlsAlert(error) || pool.hasNotReached(error));
}

/** Over TLS it may be about certificates, which some servers do not say. */
export function certificateHint(isTls: boolean, hasCertificate: boolean): string {
  return isTls ? ` (so does a server that ${hasCertificate ? 'does not accept our' : 'wants a'} client certificate)` : '';
}
