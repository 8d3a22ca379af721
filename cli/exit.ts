/**
 * Exit codes, of every verb (where they have one, those of sysexits.h):
 *
 * | code | means |
 * |---|---|
 * | 0 | done |
 * | 1 | `status`, `ledger`: something is stuck, lost, or does not balance |
 * | 64 | the command line is wrong |
 * | 65 | `record`: some events were refused, the others went through |
 * | 66 | the input file cannot be read |
 * | 69 | the proxy cannot be reached, an address or the data directory is in use, or events are not durable |
 * | 70 | a bug |
 * | 74 | the disk is full or damaged |
 * | 78 | the config or a setting is wrong |
 */
import { asError, isFondacoError, type ErrorCode } from '../core/errors.ts';

export const EXIT = { ok: 0, attention: 1, usage: 64, badInput: 65, noInput: 66, unavailable: 69, bug: 70, disk: 74, config: 78 } as const;

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
  0   done                                   66  the input file cannot be read
  1   something is stuck, lost, or does      69  the proxy cannot be reached, something is in use,
      not balance (status, ledger)               or events are not durable
  64  the command line is wrong              70  a bug: please report it
  65  some events were refused (record)      74  the disk is full or damaged
                                             78  the config or a setting is wrong`;

/** Says what went wrong on stderr and sets the exit code. A person gets a sentence, a bug gets its stack. */
export function fail(thrown: unknown): void {
  const error = asError(thrown);
  if (isFondacoError(error)) {
    process.stderr.write(`fondaco: ${error.text}\n`);
    process.exitCode = BY_ERROR[error.code];
    return;
  }
  process.stderr.write(`fondaco: this is a bug, please report it.\n${error.stack ?? error.message}\n`);
  process.exitCode = EXIT.bug;
}
