/**
 * What becomes of an event's bytes at its first proxy. Catalogs add the default severity where the event has none, and the dedupKey that stands
 * for its type's dedup fields where it has none; into a dedupKey goes what filters name and it may leave out. Everything else stays as it came,
 * byte for byte.
 */
import { createHash } from 'node:crypto';
import { attributeAt } from './attribute-path.ts';
import { dedupKeyOf } from './dedup-key.ts';
import { decodeEvent, FIELD, type DecodedEvent } from './event-codec.ts';
import type { EventWalk } from './event-walk.ts';
import { LIMITS, type EventObject } from './event.ts';
import { LENGTH, ProtobufReader, ProtobufWriter } from './protobuf.ts';
import { SEVERITY_NUMBER } from './severity.ts';
import type { TypeRules } from './type-rules.ts';

const reader = new ProtobufReader();
const writer = new ProtobufWriter();

/** The bytes with what the catalogs add, or the same bytes where they add nothing. Never throws: what is malformed stays so. */
export function completeEvent(bytes: Uint8Array, types: TypeRules): Uint8Array {
  const known = types.find(typeOf(bytes));
  if (!known || (known.severity === undefined && known.dedupFields === undefined)) return bytes;
  /** Where the fields up to each of these end: a field is added in the order of the numbers. */
  let typeEnd = 0;
  let timeEnd = 0;
  let hasSeverity = false;
  let hasDedupKey = false;
  for (reader.over(bytes); reader.next();) {
    const { field } = reader;
    if (field === FIELD.severity) hasSeverity = true;
    if (field === FIELD.dedupKey) hasDedupKey = true;
    if (field <= FIELD.type) typeEnd = reader.at;
    if (field <= FIELD.time) timeEnd = reader.at;
  }
  if (reader.isBroken) return bytes;
  const severity = hasSeverity || known.severity === undefined ? 0 : SEVERITY_NUMBER[known.severity];
  const dedupKey = hasDedupKey || known.dedupFields === undefined ? '' : keyOf(bytes, known.dedupFields);
  if (severity === 0 && dedupKey === '') return bytes;
  writer.reset();
  writer.raw(bytes.subarray(0, typeEnd));
  writer.uint(FIELD.severity, severity);
  writer.raw(bytes.subarray(typeEnd, timeEnd));
  writer.string(FIELD.dedupKey, dedupKey);
  writer.raw(bytes.subarray(timeEnd));
  return Uint8Array.from(writer.view());
}

/**
 * The bytes of an event that has a dedupKey, with one instead of it that differs wherever the key or one of these fields does (`object.kind`,
 * `attributes.disk.name`). The walk is over the bytes, and found nothing wrong with them. Where there is no room for that the dedupKey is left
 * out: then all of the event is its key.
 */
export function keepInKey(bytes: Uint8Array, walk: EventWalk, fields: readonly string[]): Uint8Array {
  const event = decoded(bytes);
  const values = fields.map((field) => {
    const value = fieldOf(event, field);
    return value === undefined ? [field] : [field, value];
  });
  const hash = createHash('sha256').update(bytes.subarray(walk.moreStart, walk.moreEnd)).update(JSON.stringify(values));
  writer.reset();
  writer.raw(bytes.subarray(0, walk.moreStart));
  writer.string(FIELD.dedupKey, `sha256:${hash.digest('hex')}`);
  writer.raw(bytes.subarray(walk.moreEnd));
  if (writer.length <= LIMITS.eventBytes) return Uint8Array.from(writer.view());
  return Buffer.concat([bytes.subarray(0, walk.moreStart), bytes.subarray(walk.moreEnd)]);
}

function fieldOf({ object, attributes }: DecodedEvent, field: string): unknown {
  const part = field.slice(field.indexOf('.') + 1);
  return field.startsWith('object.') ? object?.[part as keyof EventObject] : attributeAt(attributes, part);
}

/** The type of an event's bytes, as far as it can be read: '' where there is none. */
export function typeOf(bytes: Uint8Array): string {
  reader.over(bytes);
  if (!reader.next() || reader.field !== FIELD.type || reader.wireType !== LENGTH) return '';
  return Buffer.from(bytes.buffer, bytes.byteOffset + reader.start, reader.at - reader.start).toString();
}

function keyOf(bytes: Uint8Array, fields: readonly string[]): string {
  const { object, message, attributesText } = decoded(bytes);
  return dedupKeyOf(fields, { object, message, attributes: attributesText });
}

function decoded(bytes: Uint8Array): DecodedEvent {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return decodeEvent(buffer, { id: '', site: '', labels: undefined, receivedTime: '' });
}
