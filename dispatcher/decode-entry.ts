import { decodeEvent, FIELD, type DecodedEvent } from '../core/event-codec.ts';
import { EventWalk } from '../core/event-walk.ts';
import type { Entry } from '../core/journal.ts';
import { LENGTH } from '../core/protobuf.ts';
import { formatMs } from '../core/time.ts';

/** The event of an accepted or made entry, decoded once for all who share the entry. */
export function decodeEntry(entry: Entry): DecodedEvent {
  if (entry.decoded !== undefined) return entry.decoded as DecodedEvent;
  const event = decodeBytes(entry, entry.bytes);
  entry.decoded = event;
  return event;
}

/** The event of a folded entry. Its bytes lack what its dedup key shares with its first occurrence, unless a dedupKey made them the same. */
export function decodeFolded(entry: Entry, first: Entry): DecodedEvent {
  const isWhole = entry.bytes[0] === FIELD.type * 8 + LENGTH;
  if (isWhole) return decodeBytes(entry, entry.bytes);
  walk.over(first.bytes, 0, first.bytes.length, { isForwarded: true });
  return decodeBytes(entry, Buffer.concat([first.bytes.subarray(walk.keyStart, walk.keyEnd), entry.bytes]));
}

const walk = new EventWalk();

function decodeBytes(entry: Entry, bytes: Buffer): DecodedEvent {
  const { site, labels } = entry.epoch.stamp;
  return decodeEvent(bytes, { id: `${entry.series}-${entry.seq}`, site, labels, receivedTime: formatMs(entry.receivedAt) });
}
