/** The rows `dead:<writer>/<lane>/<position>`: entries that one writer can never deliver, whole, with what the destination said. */
import type { FondacoEvent } from '../core/event.ts';
import type { Lane } from '../core/lane.ts';
import type { Delivery, DeliveryNumber } from '../core/writer.ts';
import type { FeedError } from './feed-row.ts';

export const DEAD_PREFIX = 'dead:';

export interface DeadLetter {
  /** The event as it would have been delivered. */
  readonly event: FondacoEvent;
  /** Its attributes as they came: JSON text. */
  readonly attributesText: string;
  readonly delivery: DeliveryNumber;
  readonly entry: Delivery['entry'];
  readonly error: FeedError;
  readonly attempts: number;
}

export function deadLetterKey(writer: string, lane: Lane, position: number): string {
  return `${DEAD_PREFIX}${writer}/${lane}/${String(position).padStart(16, '0')}`;
}

export function deadLetterOf({ event, delivery, entry }: Delivery, error: FeedError, attempts: number): DeadLetter {
  return { event, attributesText: event.attributesText, delivery, entry, error, attempts };
}
