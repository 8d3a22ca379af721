import { hostname } from 'node:os';
import { systemClock, type Clock } from '../core/clock.ts';
import { asError, FondacoError } from '../core/errors.ts';
import type { Journal } from '../core/journal.ts';
import { LevelJournal } from './level-journal.ts';
import { makeDirectory } from './make-directory.ts';

/** How a journal is opened; all of it may be left out. */
export interface OpenJournalOptions {
  /** What is stamped on the events that are accepted; this host's name by default. */
  readonly site?: string;
  /** The site's, stamped too. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Who opens, for the message that the next one gets; the process by default. */
  readonly holder?: string;
  /** Room kept for the day on which the disk is full; 32 MiB, twice LevelDB's write buffer, which lets it go on in any state. */
  readonly reserveBytes?: number;
  /** Called with what made it necessary to open the store again, or makes it impossible for now. */
  readonly onProblem?: (problem: FondacoError) => void;
  readonly clock?: Clock;
}

const RESERVE_BYTES = 32 * 1024 * 1024;

/**
 * Opens the journal in `directory`, which is made if it is not there; one opener at a time. A damaged one is put right as far as it can be.
 * Rejects CONFIG if the directory cannot be used or holds another format, UNAVAILABLE if another holds it, FULL without room, CORRUPT if no
 * repair helps. Close it last.
 */
export async function openJournal(directory: string, options: OpenJournalOptions = {}): Promise<Journal> {
  if (typeof directory !== 'string' || directory === '') throw new FondacoError('CONFIG', 'the directory of a journal must be a path');
  try {
    await makeDirectory(directory);
  } catch (error) {
    throw new FondacoError('CONFIG', `the journal needs a directory that can be made, ${asError(error).message}`, { cause: error });
  }
  checkStamp(options);
  const { site = hostname(), labels, holder, reserveBytes = RESERVE_BYTES, onProblem, clock = systemClock() } = options;
  return LevelJournal.open(directory, {
    clock,
    stamp: { site, ...(labels && { labels }) },
    reserveBytes,
    isWitnessed: true,
    ...(holder !== undefined && { holder }),
    ...(onProblem && { onProblem }),
  });
}

/** It is stamped on every event, so what is no text would only be found at the destinations. */
function checkStamp({ site = 'x', labels = {} }: OpenJournalOptions): void {
  const isText = (value: unknown): boolean => typeof value === 'string' && value !== '' && Buffer.byteLength(value) <= 256;
  if (!isText(site)) throw new FondacoError('CONFIG', 'site must be a text of 1 to 256 bytes');
  if (!Object.values(labels).every(isText)) throw new FondacoError('CONFIG', 'labels must be texts of 1 to 256 bytes');
}
