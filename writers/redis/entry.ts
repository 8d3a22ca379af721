/**
 * An event as an entry of a stream: plain fields for those who look at one, and the whole event as JSON. Every entry has all of them, in this
 * order, some empty, because Redis stores the names once for many entries that have the same.
 */
import type { Delivery } from '../../core/writer.ts';
import { cloudEventId, cloudEventSource } from '../cloudevents.ts';
import { nativeJson } from '../native-json.ts';

/** The first is what the script compares: the event's id. */
export const FIELD_NAMES = ['id', 'type', 'severity', 'time', 'source', 'object', 'message', 'count', 'event'] as const;

/** `<birth of the entry's epoch, ms>-<position>`: names the entry for ever, and grows within a lane. */
export function entryId({ entry: { birth, position } }: Delivery): string {
  return `${birth}-${position}`;
}

/** What the script takes of an entry: its id, its delivery number, the values of its fields. */
export function entryArguments(delivered: Delivery): string[] {
  const { event, delivery } = delivered;
  const { kind = '', name = '' } = event.object ?? {};
  return [
    entryId(delivered),
    delivery.series,
    String(delivery.seq),
    cloudEventId(event),
    event.type,
    event.severity,
    event.time,
    cloudEventSource(event.source),
    kind === '' && name === '' ? '' : `${kind}/${name}`,
    event.message,
    String(event.count),
    nativeJson(delivered),
  ];
}
