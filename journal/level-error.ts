/**
 * What an error of LevelDB, or of the file system below it, means. LevelDB has no codes for what lies below it: its texts are all there is, and they
 * hold paths, which may hold anything. So only their ends count: `Corruption: …` (util/status.cc), `IO error: <path>: <strerror(3)>`; Node's
 * begin with the code: `ENOSPC: no space left on device, write`.
 */
import { asError, FondacoError } from '../core/errors.ts';

/** As an error of ours: FULL, CORRUPT, or else UNAVAILABLE, with the fact `isHeld` where another process has the database. */
export function levelError(error: unknown, expected: string): FondacoError {
  if (error instanceof FondacoError) return error;
  const text = deepestText(error);
  const code = isNoSpace(text) ? 'FULL' : isCorruption(text) ? 'CORRUPT' : 'UNAVAILABLE';
  return new FondacoError(code, `${expected}, got ${text}`, { cause: error, ...(isLocked(error) && { isHeld: true }) });
}

export function isNoSpace(text: string): boolean {
  return /^(ENOSPC|EDQUOT|EFBIG): |: (no space left on device|disk quota exceeded|file too large)$/i.test(text);
}

/** It is nothing that is wrong with the files: another time they may be read. */
export function isPassing(text: string): boolean {
  return /: (too many open files( in system)?|cannot allocate memory|permission denied|read-only file system)$/i.test(text);
}

/** The text of the deepest cause. */
export function deepestText(error: unknown): string {
  let deepest = error;
  while (deepest instanceof Error && deepest.cause !== undefined) deepest = deepest.cause;
  return deepest instanceof Error ? deepest.message : String(deepest);
}

/** A file that the database itself names and that is not there, or ends too early, is as damaged as one with wrong bytes. */
function isCorruption(text: string): boolean {
  return /^(corruption|invalid argument): |: no such file or directory$/i.test(text);
}

/** LevelDB's own lock, which also sees a holder in another network namespace. */
function isLocked(error: unknown): boolean {
  const { code, cause } = asError(error) as { code?: unknown; cause?: unknown };
  return code === 'LEVEL_LOCKED' || (cause instanceof Error && isLocked(cause));
}
