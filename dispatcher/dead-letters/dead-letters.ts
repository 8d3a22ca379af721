/** The rows `dead:<writer>/<lane>/<position>`: entries that one writer can never deliver, whole, with what the destination said. */
import { FondacoError } from '../../core/errors.ts';
import { DecodedEvent } from '../../core/event-codec.ts';
import type { FondacoEvent } from '../../core/event.ts';
import type { Journal, Row } from '../../core/journal.ts';
import { LANES, type Lane } from '../../core/lane.ts';
import type { Delivery, DeliveryNumber } from '../../core/writer.ts';
import type { FeedError, FeedLane, FeedRow } from '../feed/feed-row.ts';

export const DEAD_PREFIX = 'dead:';

/** An event that a writer could not deliver, with all that is known of it. */
export interface DeadLetter {
  /** The event as it would have been delivered. */
  readonly event: Omit<FondacoEvent, 'attributes'>;
  /** Its attributes as they came: JSON text. */
  readonly attributesText: string;
  readonly delivery: DeliveryNumber;
  readonly entry: Delivery['entry'];
  /** Of the last attempt, a replay's too; `at` is its time. */
  readonly error: FeedError;
  /** Attempts so far, those of replays included. */
  readonly attempts: number;
  /** Wall clock, ms. */
  readonly firstAttemptAt: number;
  readonly setAsideAt: number;
  /** What it takes on disk, without this number. */
  readonly bytes: number;
}

/** Where a dead letter is. */
export interface LetterPlace {
  readonly lane: Lane;
  readonly position: number;
}

/** A stored letter; without `letter` where the row is damaged. */
export interface StoredLetter extends LetterPlace {
  readonly writer: string;
  readonly letter: DeadLetter | undefined;
}

/** How many dead letters a writer may have, and how large all together. */
export interface DeadLetterLimits {
  readonly deadLettersMax: number;
  readonly deadLetterBytesMax: number;
}

const POSITION_DIGITS = 16;
const ID = /^([a-z0-9-]{1,63})\/(urgent|normal)\/([1-9]\d{0,15})$/;

/** Fixed width makes the order of keys the order of positions. */
export function deadLetterKey(writer: string, lane: Lane, position: number): string {
  return `${DEAD_PREFIX}${writer}/${lane}/${String(position).padStart(POSITION_DIGITS, '0')}`;
}

/** How people and the HTTP surface name it: `ops/normal/321`. */
export function deadLetterId(writer: string, { lane, position }: LetterPlace): string {
  return `${writer}/${lane}/${position}`;
}

/** Undefined for what is no id. */
export function parseDeadLetterId(id: string): (LetterPlace & { writer: string }) | undefined {
  const [, writer, lane, position] = ID.exec(id) ?? [];
  return writer === undefined ? undefined : { writer, lane: lane as Lane, position: Number(position) };
}

export interface LetterFacts {
  readonly error: FeedError;
  readonly attempts: number;
  readonly firstAttemptAt: number;
  readonly setAsideAt: number;
}

export function deadLetterOf({ event, delivery, entry }: Delivery, facts: LetterFacts): DeadLetter {
  // A copy of its fields: as JSON the event itself is another, which has its attributes.
  return weighed({ event: { ...event }, attributesText: event.attributesText, delivery, entry, ...facts });
}

/** The letter after a replay that was rejected, too. */
export function deadAgain(letter: DeadLetter, error: FeedError, attempts: number): DeadLetter {
  return weighed({ ...letter, error, attempts: letter.attempts + attempts });
}

function weighed(letter: Omit<DeadLetter, 'bytes'>): DeadLetter {
  const { event, attributesText, delivery, entry, error, attempts, firstAttemptAt, setAsideAt } = letter;
  const all = { event, attributesText, delivery, entry, error, attempts, firstAttemptAt, setAsideAt };
  return { ...all, bytes: Buffer.byteLength(JSON.stringify(all)) };
}

/** The event as it was decoded from the journal: writers make the same bytes of it. */
export function eventOf({ event, attributesText }: DeadLetter): DecodedEvent {
  return Object.assign(new DecodedEvent(), event, { attributesText });
}

/** How many more letters may be set aside. */
export function roomFor({ lanes }: FeedRow, limits: DeadLetterLimits): number {
  const count = LANES.reduce((sum, lane) => sum + lanes[lane].dead, 0);
  const bytes = LANES.reduce((sum, lane) => sum + lanes[lane].deadBytes, 0);
  return bytes < limits.deadLetterBytesMax ? Math.max(0, limits.deadLettersMax - count) : 0;
}

/** Takes letters out of the lane's books; a damaged one's size is not known any more. */
export function removeLetters(lane: FeedLane, letters: readonly (DeadLetter | undefined)[]): void {
  lane.dead -= letters.length;
  for (const letter of letters) lane.deadBytes -= letter?.bytes ?? 0;
  if (lane.dead === 0) lane.deadBytes = 0;
}

/** Why a feed pauses that cannot set aside what its destination rejects. */
export function noRoom(writer: string, limits: DeadLetterLimits, failure: FondacoError): FondacoError {
  const limit = `${limits.deadLettersMax} and ${limits.deadLetterBytesMax} bytes`;
  const text = `writer ${writer} must have room for another dead letter, got its limit (${limit}): replay or purge some; what came last: ${failure.message}`;
  return new FondacoError('REFUSED', text, failure.facts);
}

/** Letters of a writer and lane from position `from` on, `limit` at most. */
export async function* lettersFrom(
  journal: Journal,
  writer: string,
  { lane, position }: LetterPlace,
  limit: number,
): AsyncIterable<StoredLetter> {
  const after = deadLetterKey(writer, lane, Math.max(0, position - 1));
  for await (const row of journal.rows(`${DEAD_PREFIX}${writer}/${lane}/`, { after, limit })) yield storedLetter(row);
}

/** A row of this prefix. */
export function storedLetter({ key, value }: Row): StoredLetter {
  const [writer = '', lane, position] = key.slice(DEAD_PREFIX.length).split('/');
  return { writer, lane: lane as Lane, position: Number(position), letter: value as DeadLetter | undefined };
}
