/**
 * The bytes of an event: the message `fondaco.v1.Event` of proto/fondaco/v1/event.proto. Encoded once, in the agent; the same bytes
 * are on the wire, in the spool and in the journal. Fields 1 to 9 are the agent's, 16 and up are set by proxies.
 *
 * Protobuf merges concatenated messages, the last value of a field winning. Two forms on disk rest on that:
 * a summary is its first occurrence's bytes followed by fields 16 and up; a folded entry leaves out the fields of its dedup key, and read
 * after those of its first it is whole again.
 */
import type { EventFields } from './event-input.ts';
import { LIMITS, OBJECT_FIELDS, type EventObject, type FondacoEvent, type JsonObject } from './event.ts';
import { hasInfiniteNumber, isDeeperThan } from './json-text.ts';
import { ProtobufReader, type ProtobufWriter } from './protobuf.ts';
import { severityOf, type Severity } from './severity.ts';
import { formatTime, isTimestamp } from './time.ts';
import { uuidText } from './uuid.ts';

export const FIELD = {
  type: 1,
  severity: 2,
  source: 3,
  object: 4,
  message: 5,
  attributes: 6,
  time: 7,
  dedupKey: 8,
  traceparent: 9,
  id: 16,
  site: 17,
  labels: 18,
  receivedTime: 19,
  revision: 20,
  count: 21,
  added: 22,
  firstTime: 23,
  lastTime: 24,
  summarizes: 25,
  via: 26,
  foreign: 27,
  journals: 28,
} as const;

/** Appends the event's bytes. */
export function encodeEvent(writer: ProtobufWriter, event: EventFields): void {
  writer.text(FIELD.type, event.type);
  writer.uint(FIELD.severity, event.severity);
  writer.message(FIELD.source, () => {
    writer.string(1, event.node);
    writer.string(2, event.component);
  });
  const { object } = event;
  if (object) {
    writer.message(FIELD.object, () => {
      for (let i = 0; i < OBJECT_FIELDS.length; i++) writer.string(i + 1, object[OBJECT_FIELDS[i]!] ?? '');
    });
  }
  writer.string(FIELD.message, event.message);
  writer.string(FIELD.attributes, event.attributes);
  writer.timestamp(FIELD.time, event.time.seconds, event.time.nanos);
  writer.string(FIELD.dedupKey, event.dedupKey);
  writer.string(FIELD.traceparent, event.traceparent);
}

/** What a proxy adds when it reports a window: fields 16 to 25, to be appended to the bytes of the first occurrence. */
export interface SummaryFields {
  readonly id: string;
  /** Where the first was accepted, if that is not what the proxy is now. */
  readonly stamp?: { readonly site: string; readonly labels?: Readonly<Record<string, string>> };
  readonly revision: number;
  readonly count: number;
  readonly added: number;
  /** Encoded `google.protobuf.Timestamp`s, taken from the occurrences as they are. */
  readonly firstTime: Uint8Array;
  readonly lastTime: Uint8Array;
  readonly summarizes: string;
}

export function encodeSummary(writer: ProtobufWriter, summary: SummaryFields): void {
  writer.string(FIELD.id, summary.id);
  writer.string(FIELD.site, summary.stamp?.site ?? '');
  for (const [name, value] of Object.entries(summary.stamp?.labels ?? {})) {
    writer.message(FIELD.labels, () => {
      writer.string(1, name);
      writer.string(2, value);
    });
  }
  writer.uint(FIELD.revision, summary.revision);
  writer.uint(FIELD.count, summary.count);
  writer.uint(FIELD.added, summary.added);
  if (summary.firstTime.length > 0) writer.bytes(FIELD.firstTime, summary.firstTime);
  writer.bytes(FIELD.lastTime, summary.lastTime);
  writer.string(FIELD.summarizes, summary.summarizes);
}

/** What the journal knows about an entry beside the event's bytes. */
export interface EntryFacts {
  /** The id where the bytes name none: `<series>-<seq>`. */
  readonly id: string;
  readonly site: string;
  readonly labels: Readonly<Record<string, string>> | undefined;
  /** RFC 3339. */
  readonly receivedTime: string;
}

/** A decoded event. Attributes are parsed when first asked for; `attributesText` is them as they came. */
export class DecodedEvent implements FondacoEvent {
  id = '';
  type = '';
  severity: Severity = 'info';
  time = '';
  message = '';
  source = { site: '', node: '', component: '' };
  labels?: Readonly<Record<string, string>>;
  object?: EventObject;
  receivedTime = '';
  revision = 0;
  count = 1;
  added = 1;
  firstTime = '';
  lastTime = '';
  summarizes?: string;
  traceparent?: string;
  via?: readonly string[];
  foreign?: { readonly source: string; readonly id: string };
  /** UUIDs of the journals that it has been in, beside `via`: not shown to destinations. */
  journals?: readonly string[];
  #text = '';
  #attributes: JsonObject | undefined;

  /**
   * JSON text of an object, always such that readers take it: what is not JSON, nested without end, or holds a number without bounds (another
   * producer's mistake) is wrapped and marked.
   */
  get attributesText(): string {
    void this.attributes;
    return this.#text;
  }

  set attributesText(text: string) {
    this.#text = text;
    this.#attributes = undefined;
  }

  get attributes(): JsonObject {
    this.#attributes ??= this.#parse();
    return this.#attributes;
  }

  /** For JSON.stringify: what destinations are shown. */
  toJSON(): object {
    const { journals: _, ...fields } = this;
    return { ...fields, attributes: this.attributes };
  }

  #parse(): JsonObject {
    if (this.#text === '') this.#text = '{}';
    try {
      const value: unknown = JSON.parse(this.#text);
      if (typeof value === 'object' && value !== null && !Array.isArray(value) && isReadable(this.#text)) {
        // In JSON a line break stands only between tokens; a line of NDJSON must not have one.
        if (this.#text.includes('\n') || this.#text.includes('\r')) this.#text = this.#text.replaceAll(/[\n\r]/g, ' ');
        return value as JsonObject;
      }
    } catch {
      // marked below
    }
    const marked = { 'fondaco.malformed': this.#text };
    this.#text = JSON.stringify(marked);
    return marked;
  }
}

/** What is JSON by its grammar and ends a reader all the same would be a poison for the batch that it is in. */
function isReadable(text: string): boolean {
  return !isDeeperThan(LIMITS.attributesDepth, text) && !hasInfiniteNumber(text);
}

const outer = new ProtobufReader();
const inner = new ProtobufReader();

/** Decodes an accepted event's bytes. Unknown fields are passed over; a later value of a field replaces an earlier one. */
export function decodeEvent(bytes: Buffer, facts: EntryFacts): DecodedEvent {
  const event = new DecodedEvent();
  event.id = facts.id;
  event.source.site = facts.site;
  event.receivedTime = facts.receivedTime;
  if (facts.labels) event.labels = facts.labels;
  for (outer.over(bytes); outer.next();) {
    const read = READ[outer.field];
    if (read) read(event, bytes);
  }
  if (event.time === '') event.time = event.receivedTime;
  if (event.firstTime === '') event.firstTime = event.time;
  if (event.lastTime === '') event.lastTime = event.time;
  return event;
}

type ReadField = (event: DecodedEvent, bytes: Buffer) => void;

const READ: (ReadField | undefined)[] = [];
READ[FIELD.type] = (event, bytes) => void (event.type = text(bytes, outer));
READ[FIELD.severity] = (event) => void (event.severity = severityOf(outer.value) ?? 'info');
READ[FIELD.source] = (event, bytes) => {
  for (inner.over(bytes, outer.start, outer.at); inner.next();) {
    if (inner.field === 1) event.source.node = text(bytes, inner);
    else if (inner.field === 2) event.source.component = text(bytes, inner);
  }
};
READ[FIELD.object] = (event, bytes) => {
  const object: Record<string, string> = {};
  for (inner.over(bytes, outer.start, outer.at); inner.next();) {
    const name = OBJECT_FIELDS[inner.field - 1];
    if (name) object[name] = text(bytes, inner);
  }
  event.object = object;
};
READ[FIELD.message] = (event, bytes) => void (event.message = text(bytes, outer));
READ[FIELD.attributes] = (event, bytes) => void (event.attributesText = text(bytes, outer));
READ[FIELD.time] = (event, bytes) => void (event.time = time(bytes, outer));
READ[FIELD.traceparent] = (event, bytes) => void (event.traceparent = text(bytes, outer));
READ[FIELD.id] = (event, bytes) => void (event.id = text(bytes, outer));
READ[FIELD.site] = (event, bytes) => {
  event.source.site = text(bytes, outer);
  delete event.labels; // those of another site are not this one's; its own follow
};
READ[FIELD.labels] = (event, bytes) => {
  const [key, value] = pair(bytes);
  event.labels = { ...event.labels, [key]: value };
};
READ[FIELD.receivedTime] = (event, bytes) => void (event.receivedTime = time(bytes, outer));
READ[FIELD.revision] = (event) => void (event.revision = outer.value);
READ[FIELD.count] = (event) => void (event.count = outer.value);
READ[FIELD.added] = (event) => void (event.added = outer.value);
READ[FIELD.firstTime] = (event, bytes) => void (event.firstTime = time(bytes, outer));
READ[FIELD.lastTime] = (event, bytes) => void (event.lastTime = time(bytes, outer));
READ[FIELD.summarizes] = (event, bytes) => void (event.summarizes = text(bytes, outer));
READ[FIELD.via] = (event, bytes) => void (event.via = [...(event.via ?? []), text(bytes, outer)]);
READ[FIELD.journals] = (event, bytes) => {
  event.journals = [...(event.journals ?? []), uuidText(bytes.subarray(outer.start, outer.at))];
};
READ[FIELD.foreign] = (event, bytes) => {
  const [source, id] = pair(bytes);
  event.foreign = { source, id };
};

function text(bytes: Buffer, at: ProtobufReader): string {
  return bytes.toString('utf8', at.start, at.at);
}

/** A message of two strings, fields 1 and 2. */
function pair(bytes: Buffer): [string, string] {
  const values: [string, string] = ['', ''];
  for (inner.over(bytes, outer.start, outer.at); inner.next();) {
    if (inner.field === 1 || inner.field === 2) values[inner.field - 1] = text(bytes, inner);
  }
  return values;
}

function time(bytes: Buffer, at: ProtobufReader): string {
  let seconds = 0;
  let nanos = 0;
  for (inner.over(bytes, at.start, at.at); inner.next();) {
    if (inner.field === 1) seconds = inner.value;
    else if (inner.field === 2) nanos = inner.value;
  }
  return isTimestamp(seconds, nanos) ? formatTime(seconds, nanos) : '';
}
