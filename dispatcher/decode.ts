import { decodeEvent, type DecodedEvent } from '../core/event-codec.ts';
import type { Entry } from '../core/journal.ts';
import { formatMs } from '../core/time.ts';

/** The event of an accepted or made entry, decoded once for all who share the entry. */
export function decodeEntry(entry: Entry): DecodedEvent {
  if (entry.decoded !== undefined) return entry.decoded as DecodedEvent;
  const { site, labels } = entry.epoch.stamp;
  const id = `${entry.series}-${entry.seq}`;
  const event = decodeEvent(entry.bytes, { id, site, labels, receivedTime: formatMs(entry.receivedAt) });
  entry.decoded = event;
  return event;
}
