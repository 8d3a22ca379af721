/** The next letters of a replay, read from their rows. */
import { isFondacoError } from '../../core/errors.ts';
import type { Journal } from '../../core/journal.ts';
import type { Lane } from '../../core/lane.ts';
import { deadLetterKey, lettersFrom, type DeadLetter, type LetterPlace } from './dead-letters.ts';
import type { CutLimits } from '../feed/lane-reader.ts';

/** `letter` is undefined where the row is damaged. */
export interface ReplayLetter {
  readonly position: number;
  readonly letter: DeadLetter | undefined;
}

/** Where to read: positions from `from` to before `end`, or those of them that were chosen. */
export interface LetterRange {
  readonly writer: string;
  readonly lane: Lane;
  readonly from: number;
  readonly end: number;
  readonly chosen?: readonly number[];
}

/** As many as a batch may have, at least one if there is any. Letters that are gone are passed over. */
export async function nextLetters(journal: Journal, range: LetterRange, limits: CutLimits): Promise<ReplayLetter[]> {
  const letters: ReplayLetter[] = [];
  let bytes = 0;
  for await (const { position, letter } of range.chosen
    ? chosenOf(journal, range, range.chosen)
    : allOf(journal, range, limits.eventsMax)) {
    bytes += letter?.bytes ?? 0;
    if (letters.length > 0 && bytes > limits.bytesMax) break;
    letters.push({ position, letter });
    if (letters.length >= limits.eventsMax) break;
  }
  return letters;
}

async function* allOf(journal: Journal, { writer, lane, from, end }: LetterRange, limit: number): AsyncIterable<ReplayLetter> {
  for await (const { position, letter } of lettersFrom(journal, writer, { lane, position: from }, limit)) {
    if (position >= end) return;
    yield { position, letter };
  }
}

async function* chosenOf(journal: Journal, { writer, lane, from }: LetterRange, chosen: readonly number[]): AsyncIterable<ReplayLetter> {
  for (const position of chosen) {
    if (position < from) continue;
    const letter = await readLetter(journal, writer, { lane, position });
    if (letter) yield { position, letter: letter === 'damaged' ? undefined : letter };
  }
}

/** One letter; undefined if there is none. */
export async function readLetter(journal: Journal, writer: string, place: LetterPlace): Promise<DeadLetter | 'damaged' | undefined> {
  return (await readRow(journal, deadLetterKey(writer, place.lane, place.position))) as DeadLetter | 'damaged' | undefined;
}

/** A row whose damage is no reason to stop. */
export async function readRow(journal: Journal, key: string): Promise<unknown> {
  try {
    return await journal.row(key);
  } catch (error) {
    if (isFondacoError(error, 'CORRUPT')) return 'damaged';
    throw error;
  }
}
