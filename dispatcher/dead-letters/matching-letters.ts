import type { Journal } from '../../core/journal.ts';
import { compileFilter, type Filter } from '../feed/filter.ts';
import { DEAD_PREFIX, eventOf, storedLetter, type LetterPlace } from './dead-letters.ts';

/** Where the dead letters of a writer are that a filter lets through, as of now. Damaged ones match nothing. Rejects as a read does. */
export async function matchingLetters(journal: Journal, writer: string, filter: Filter): Promise<LetterPlace[]> {
  const wants = compileFilter(filter);
  const places: LetterPlace[] = [];
  for await (const row of journal.rows(`${DEAD_PREFIX}${writer}/`)) {
    const { lane, position, letter } = storedLetter(row);
    if (letter && wants(eventOf(letter))) places.push({ lane, position });
  }
  return places;
}
