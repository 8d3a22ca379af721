/**
 * What catalogs add to an event's bytes at its first proxy: the default severity where the event has none, and the dedupKey that stands for
 * its type's dedup fields where it has none. Everything else stays as it came, byte for byte.
 */
import { dedupKeyOf } from './dedup-key.ts';
import { decodeEvent, FIELD } from './event-codec.ts';
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

/** The type of an event's bytes, as far as it can be read: '' where there is none. */
export function typeOf(bytes: Uint8Array): string {
  reader.over(bytes);
  if (!reader.next() || reader.field !== FIELD.type || reader.wireType !== LENGTH) return '';
  return Buffer.from(bytes.buffer, bytes.byteOffset + reader.start, reader.at - reader.start).toString();
}

function keyOf(bytes: Uint8Array, fields: readonly string[]): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { object, message, attributesText } = decodeEvent(buffer, { id: '', site: '', labels: undefined, receivedTime: '' });
  return dedupKeyOf(fields, { object, message, attributes: attributesText });
}
