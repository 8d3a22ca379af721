/**
 * Exit codes, of every verb (where they have one, those of sysexits.h):
 *
 * | code | means |
 * |---|---|
 * | 0 | done |
 * | 1 | something needs a person: `status` (stuck, or lost lately), `ledger` (does not balance), `doctor` (a check failed), a replay with events that died again, `audit` (something is missing, changed or out of order), `catalog generate --check` (stale) |
 * | 64 | the command line is wrong, names what the proxy or a spool has not (a writer, an event, a dead letter, a life), or a file to write that is there |
 * | 65 | `record`: some events were refused, the others went through; `audit`: there is no delivery in it |
 * | 66 | what the command line names to be read is not there or cannot be read: a file, a spool, a journal |
 * | 69 | the proxy cannot be reached or is busy, its certificate is not trusted, an address or the data directory is in use, or events are not durable |
 * | 70 | a bug |
 * | 74 | the disk is full or damaged |
 * | 77 | the proxy wants a token, or another one |
 * | 78 | the config, which may not be there, or a setting in the environment is wrong |
 */
import { asError, isFondacoError, type ErrorCode } from '../core/errors.ts';

export const EXIT = {
  ok: 0,
  attention: 1,
  usage: 64,
  badInput: 65,
  noInput: 66,
  unavailable: 69,
  bug: 70,
  disk: 74,
  noPermission: 77,
  config: 78,
} as const;

const BY_ERROR: Readonly<Record<ErrorCode, number>> = {
  CONFIG: EXIT.config,
  UNAVAILABLE: EXIT.unavailable,
  REFUSED: EXIT.unavailable,
  REJECTED: EXIT.badInput,
  FULL: EXIT.disk,
  CORRUPT: EXIT.disk,
};

/** For `--help`. */
export const EXIT_HELP = `
Exit codes:
  0   done                                   69  the proxy cannot be reached or is busy, something
  1   something is stuck, lost or damaged,       is in use, or events are not durable
      does not balance, or died again        70  a bug: please report it
  64  the command line is wrong, or names    74  the disk is full or damaged
      what is not there                      77  the proxy wants a token, or another one
  65  events refused; no delivery (audit)    78  the config, or a setting in the environment,
  66  a file, journal or spool that is           is wrong
      named cannot be read`;

/** What ends a verb with an exit code of its own. The message is for people: what is wrong, and what to do next. */
export class ExitError extends Error {
  readonly exitCode: number;

  constructor(exitCode: number, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.exitCode = exitCode;
  }
}

/** Says what went wrong on stderr and sets the exit code. A person gets a sentence, a bug gets its stack. */
export function fail(thrown: unknown): void {
  const error = asError(thrown);
  if (isFondacoError(error) || error instanceof ExitError) {
    process.stderr.write(`fondaco: ${isFondacoError(error) ? error.text : error.message}\n`);
    process.exitCode = isFondacoError(error) ? BY_ERROR[error.code] : error.exitCode;
    return;
  }
  process.stderr.write(`fondaco: this is a bug, please report it.\n${error.stack ?? error.message}\n`);
  process.exitCode = EXIT.bug;
}
