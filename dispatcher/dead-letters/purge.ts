/**
 * Gives up dead letters: a person's decision, so it is a loss that is announced. In chunks, each a commit of its own that deletes letters,
 * moves them from dead to dropped in the books and names them: a kill between two of them leaves the rest as it was.
 */
import type { Draft } from '../../core/journal.ts';
import { LANES, type Lane } from '../../core/lane.ts';
import { deadLetterKey, lettersFrom, removeLetters, type LetterPlace } from './dead-letters.ts';
import type { Dispatcher } from '../dispatcher.ts';
import type { FeedRow } from '../feed/feed-row.ts';
import { readLetter, type ReplayLetter } from './replay-letters.ts';

const CHUNK_LETTERS = 500;

/** Whose letters they are: a feed, or a writer that the config no longer has. */
export interface PurgedWriter {
  readonly settings: { readonly name: string };
  readonly dispatcher: Dispatcher;
  readonly row: FeedRow;
  readonly replay: { readonly isUnderWay: boolean };
  isPurging: boolean;
  /** Commits a change of the row; false: `change` found that it no longer applies. Waits for a journal that is being reopened, 5 s at most. */
  command(change: (draft: Draft) => boolean): Promise<boolean>;
  put(draft: Draft): void;
  /** There is room for another letter. */
  roomMade(): void;
}

/** `missing`: ids that no letter has. */
export type Purged = { readonly purged: number; readonly missing: readonly LetterPlace[] } | { readonly busy: string };

/**
 * Purges the chosen letters of a writer, or all that there are at this moment. Resolves when that is durable. Rejects UNAVAILABLE or FULL
 * where the journal takes nothing: what was purged until then stays so.
 */
export async function purgeLetters(feed: PurgedWriter, places?: readonly LetterPlace[]): Promise<Purged> {
  const { name } = feed.settings;
  if (feed.replay.isUnderWay) return { busy: `a replay of ${name} is under way` };
  if (feed.isPurging) return { busy: `dead letters of ${name} are being purged` };
  feed.isPurging = true;
  try {
    let purged = 0;
    const missing: LetterPlace[] = [];
    for (const lane of LANES) {
      const chosen = places?.filter((place) => place.lane === lane).map(({ position }) => position);
      if (chosen) purged += await purgeChosen(feed, lane, chosen, missing);
      else purged += await purgeBelow(feed, lane, feed.row.lanes[lane].cursor);
    }
    return { purged, missing };
  } finally {
    feed.isPurging = false;
  }
}

async function purgeBelow(feed: PurgedWriter, lane: Lane, end: number): Promise<number> {
  let purged = 0;
  for (let position = 0; ;) {
    const from = { lane, position };
    const read = async (): Promise<ReplayLetter[]> => {
      const letters: ReplayLetter[] = [];
      for await (const each of lettersFrom(feed.dispatcher.journal, feed.settings.name, from, CHUNK_LETTERS))
        if (each.position < end) letters.push(each);
      return letters;
    };
    const letters = await read();
    if (letters.length === 0) return purged;
    purged += await purgeChunk(feed, lane, letters, read);
    position = letters.at(-1)!.position + 1;
  }
}

async function purgeChosen(feed: PurgedWriter, lane: Lane, chosen: readonly number[], missing: LetterPlace[]): Promise<number> {
  const { journal } = feed.dispatcher;
  const positions = [...new Set(chosen)].sort((a, b) => a - b);
  let purged = 0;
  for (let at = 0; at < positions.length; at += CHUNK_LETTERS) {
    const read = async (): Promise<ReplayLetter[]> => {
      const letters: ReplayLetter[] = [];
      for (const position of positions.slice(at, at + CHUNK_LETTERS)) {
        const letter = await readLetter(journal, feed.settings.name, { lane, position });
        if (letter) letters.push({ position, letter: letter === 'damaged' ? undefined : letter });
      }
      return letters;
    };
    const letters = await read();
    const found = new Set(letters.map(({ position }) => position));
    for (const position of positions.slice(at, at + CHUNK_LETTERS)) if (!found.has(position)) missing.push({ lane, position });
    purged += await purgeChunk(feed, lane, letters, read);
  }
  return purged;
}

/** Resolves with how many are gone. A commit that fails may be stored all the same: then the journal was reopened, and the rows tell. */
async function purgeChunk(
  feed: PurgedWriter,
  lane: Lane,
  chunk: readonly ReplayLetter[],
  read: () => Promise<ReplayLetter[]>,
): Promise<number> {
  const { journal } = feed.dispatcher;
  let letters = chunk;
  while (letters.length > 0) {
    const epoch = journal.epochs.at(-1);
    const isDone = await feed.command((draft) => {
      if (journal.epochs.at(-1) !== epoch) return false;
      giveUp(feed, draft, lane, letters);
      return true;
    });
    if (isDone) return chunk.length;
    const there = new Set((await read()).map(({ position }) => position));
    letters = letters.filter(({ position }) => there.has(position));
  }
  return chunk.length;
}

function giveUp(feed: PurgedWriter, draft: Draft, lane: Lane, letters: readonly ReplayLetter[]): void {
  const { name } = feed.settings;
  const row = feed.row.lanes[lane];
  removeLetters(
    row,
    letters.map(({ letter }) => letter),
  );
  row.dropped += letters.length;
  for (const { position } of letters) {
    draft.delete(deadLetterKey(name, lane, position));
    feed.dispatcher.lose(draft, { kind: 'writer', id: `${name}/${lane}` }, 'purged', [position, position]);
  }
  feed.roomMade();
  feed.put(draft);
}
