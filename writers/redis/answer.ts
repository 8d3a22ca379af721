/**
 * What an error of Redis means, by its first word:
 *
 * | answer | becomes |
 * |---|---|
 * | LOADING, BUSY, OOM, MISCONF, NOREPLICAS, MASTERDOWN, CLUSTERDOWN, TRYAGAIN, ASK; too many clients | UNAVAILABLE |
 * | READONLY, MASTERDOWN | … and the connection is given up: the master may be elsewhere by now |
 * | MOVED | the next attempt goes where it says |
 * | anything else: WRONGPASS, NOAUTH, NOPERM, WRONGTYPE, CROSSSLOT, DENIED, unknown commands … | REFUSED |
 */
import { FondacoError } from '../../core/errors.ts';
import type { Secrets } from '../secrets.ts';

const PASSING = new Set([
  'LOADING',
  'BUSY',
  'UNKILLABLE',
  'OOM',
  'MISCONF',
  'NOREPLICAS',
  'MASTERDOWN',
  'READONLY',
  'CLUSTERDOWN',
  'TRYAGAIN',
  'MOVED',
  'ASK',
]);
/** What a server says that is not, or no longer, the right one. */
const ELSEWHERE = new Set(['READONLY', 'MASTERDOWN', 'MOVED', 'ASK', 'CLUSTERDOWN']);
const TOO_MANY_CLIENTS = 'ERR max number of clients';

/** Its first word. */
export function codeOf(answer: string): string {
  return /^[A-Z]+/.exec(answer)?.[0] ?? '';
}

/** True where another connection may find a server that takes what this one does not. */
export function isElsewhere(answer: string): boolean {
  return ELSEWHERE.has(codeOf(answer));
}

/** The answer as an error. `what`: the stream or the server, for people. */
export function refusal(what: string, answer: string, secrets: Secrets): FondacoError {
  const status = codeOf(answer);
  const text = secrets.hide(answer);
  const facts = { status, answer: text };
  if (answer.startsWith(TOO_MANY_CLIENTS)) return new FondacoError('UNAVAILABLE', `${what}: ${text}`, { ...facts, unreachable: true });
  return new FondacoError(PASSING.has(status) ? 'UNAVAILABLE' : 'REFUSED', `${what} must take the batch, got ${text}`, facts);
}

/** Where a slot has moved to: `MOVED 1234 10.0.0.7:6379`, whose host may be empty for the same one. */
export function movedTo(answer: string): { readonly host: string; readonly port: number } | undefined {
  const [, host, port] = /^MOVED \d+ (\S*):(\d{1,5})$/.exec(answer) ?? [];
  return host === undefined ? undefined : { host, port: Number(port) };
}
