/**
 * A forwarded event: what the first proxy made of it, and what each proxy on its way adds, as one `fondaco.v1.Event`. Fields 1 to 9 are the
 * agent's but for the dedup key, which the first proxy alone needs; fields 16 and up say what that proxy knows beside the bytes.
 */
import { FIELD, type DecodedEvent } from './event-codec.ts';
import { LIMITS, OBJECT_FIELDS } from './event.ts';
import { ProtobufReader, ProtobufWriter } from './protobuf.ts';
import { SEVERITY_NUMBER } from './severity.ts';
import { parseTime } from './time.ts';
import { uuidBytes, uuidText } from './uuid.ts';

/** A proxy that forwards. */
export interface Hop {
  readonly site: string;
  /** UUID of its journal. */
  readonly journal: string;
}

const writer = new ProtobufWriter();

/** The bytes of an event as `hop` forwards it: the same for every attempt. */
export function encodeForwarded(event: Readonly<DecodedEvent>, hop: Hop): Uint8Array {
  const { source, object, labels, foreign, time } = event;
  writer.reset();
  writer.text(FIELD.type, event.type);
  writer.uint(FIELD.severity, SEVERITY_NUMBER[event.severity]);
  writer.message(FIELD.source, () => {
    writer.string(1, source.node);
    writer.string(2, source.component);
  });
  if (object) {
    writer.message(FIELD.object, () => {
      for (const [i, field] of OBJECT_FIELDS.entries()) writer.string(i + 1, object[field] ?? '');
    });
  }
  writer.string(FIELD.message, event.message);
  writer.string(FIELD.attributes, event.attributesText === '{}' ? '' : event.attributesText);
  putTime(FIELD.time, time);
  writer.string(FIELD.traceparent, event.traceparent ?? '');
  writer.string(FIELD.id, event.id);
  writer.string(FIELD.site, source.site);
  for (const [name, value] of Object.entries(labels ?? {})) putPair(FIELD.labels, name, value);
  putTime(FIELD.receivedTime, event.receivedTime);
  writer.uint(FIELD.revision, event.revision);
  if (event.count !== 1) writer.uint(FIELD.count, event.count);
  if (event.added !== 1) writer.uint(FIELD.added, event.added);
  if (event.firstTime !== time) putTime(FIELD.firstTime, event.firstTime);
  if (event.lastTime !== time) putTime(FIELD.lastTime, event.lastTime);
  writer.string(FIELD.summarizes, event.summarizes ?? '');
  for (const site of [...(event.via ?? []), hop.site]) writer.string(FIELD.via, site);
  if (foreign) putPair(FIELD.foreign, foreign.source, foreign.id);
  for (const journal of [...(event.journals ?? []), hop.journal]) {
    const bytes = uuidBytes(journal);
    if (bytes) writer.bytes(FIELD.journals, bytes);
  }
  return Uint8Array.from(writer.view());
}

function putTime(field: number, text: string): void {
  const time = parseTime(text);
  if (time) writer.timestamp(field, time.seconds, time.nanos);
}

function putPair(field: number, first: string, second: string): void {
  writer.message(field, () => {
    writer.string(1, first);
    writer.string(2, second);
  });
}

/** Where a forwarded event has been. */
export interface Envelope {
  readonly id: string;
  readonly site: string;
  readonly via: readonly string[];
  readonly journals: readonly string[];
}

const reader = new ProtobufReader();

/** Reads the envelope of bytes that an EventWalk found nothing wrong with; or says what is missing in it: field, expected, got. */
export function readEnvelope(bytes: Uint8Array, forwarder: string): Envelope | string {
  let id = '';
  let site = '';
  let isTimed = false;
  const via: string[] = [];
  const journals: string[] = [];
  const text = (): string => Buffer.from(bytes.buffer, bytes.byteOffset + reader.start, reader.at - reader.start).toString();
  for (reader.over(bytes); reader.next();) {
    if (reader.field === FIELD.id) id = text();
    else if (reader.field === FIELD.site) site = text();
    else if (reader.field === FIELD.receivedTime) isTimed = true;
    else if (reader.field === FIELD.via) via.push(text());
    else if (reader.field === FIELD.journals) journals.push(uuidText(bytes.subarray(reader.start, reader.at)));
  }
  for (const [name, value] of [['id', id], ['site', site], ...via.map((each) => ['via', each] as const)] as const) {
    const length = Buffer.byteLength(value);
    if (length === 0 || length > LIMITS.nameBytes)
      return `${name} must be 1 to ${LIMITS.nameBytes} bytes where an event is forwarded, got ${length}`;
  }
  if (!isTimed) return 'received_time must be given where an event is forwarded, got nothing';
  if (via.length > LIMITS.hops) return `via must name at most ${LIMITS.hops} sites, got ${via.length}`;
  if (via.at(-1) !== forwarder)
    return `via must end with the site that forwards, ${JSON.stringify(forwarder)}, got ${JSON.stringify(via.at(-1) ?? '')}`;
  return { id, site, via, journals };
}
