/**
 * An event as a log record of OpenTelemetry (log data model; opentelemetry-proto 1.5, logs/v1), in the shape of OTLP's JSON, which the protobuf
 * encoder walks too.
 *
 * | field | what |
 * |---|---|
 * | resource | `service.name`: the component; `host.name`: the node; `fondaco.site`, `fondaco.label.<name>` |
 * | eventName, body | the type; the message |
 * | severityNumber, severityText | `warn`, 13 |
 * | timeUnixNano | when it happened; absent for what its 64 bits cannot hold, then `fondaco.time` has it |
 * | observedTimeUnixNano | when the first proxy received it |
 * | traceId, spanId, flags | of `traceparent`, where it is one |
 * | attributes | `log.record.uid`: the event's id; the event's own attributes; `fondaco.…`: all else, and its place in the delivery |
 *
 * Attributes of the event are values here: a number is an int where it is whole, else a double. Where the values would not give the recorded text
 * back (`1.10`, `-0.0`, more than 16 levels, a name that is empty or ours), `fondaco.attributes` has the text. Nothing depends on the attempt
 * or the clock, so that a repeat is the same bytes.
 */
import { OBJECT_FIELDS, type JsonObject } from '../../core/event.ts';
import type { DecodedEvent } from '../../core/event-codec.ts';
import { SEVERITY_NUMBER } from '../../core/severity.ts';
import { parseTime } from '../../core/time.ts';
import type { Delivery } from '../../core/writer.ts';

export type AnyValue =
  | { readonly stringValue: string }
  | { readonly boolValue: boolean }
  /** Digits: an int64. */
  | { readonly intValue: string }
  | { readonly doubleValue: number }
  | { readonly arrayValue: { readonly values: readonly AnyValue[] } }
  | { readonly kvlistValue: { readonly values: readonly KeyValue[] } }
  /** null. */
  | Readonly<Record<string, never>>;

export interface KeyValue {
  readonly key: string;
  readonly value: AnyValue;
}

export interface LogRecord {
  /** Digits: nanoseconds since 1970. */
  readonly timeUnixNano?: string;
  readonly observedTimeUnixNano?: string;
  readonly severityNumber: number;
  readonly severityText: string;
  readonly eventName: string;
  readonly body: AnyValue;
  readonly attributes: readonly KeyValue[];
  readonly flags?: number;
  /** Hexadecimal. */
  readonly traceId?: string;
  readonly spanId?: string;
}

export interface ResourceLogs {
  readonly resource: { readonly attributes: readonly KeyValue[] };
  readonly scopeLogs: readonly [{ readonly scope: { readonly name: string }; readonly logRecords: readonly LogRecord[] }];
}

/** ExportLogsServiceRequest. */
export interface ExportRequest {
  readonly resourceLogs: readonly ResourceLogs[];
}

const SCOPE = { name: 'fondaco' };
/** Of values: each level is three messages in protobuf, some of whose readers stop at 100. */
const DEPTH_MAX = 16;
const UID = 'log.record.uid';
const OWN = 'fondaco.';
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-([0-9a-f]{2})$/;

/** A batch, in its order: consecutive events of one source share a resource. */
export function exportRequest(batch: readonly Delivery[]): ExportRequest {
  const resourceLogs: { resource: ResourceLogs['resource']; records: LogRecord[]; event: Readonly<DecodedEvent> }[] = [];
  for (const delivery of batch) {
    const { event } = delivery;
    const last = resourceLogs.at(-1);
    if (last && isOfOne(last.event, event)) last.records.push(logRecord(delivery));
    else resourceLogs.push({ resource: { attributes: resourceOf(event) }, records: [logRecord(delivery)], event });
  }
  return { resourceLogs: resourceLogs.map(({ resource, records }) => ({ resource, scopeLogs: [{ scope: SCOPE, logRecords: records }] })) };
}

function isOfOne(a: Readonly<DecodedEvent>, b: Readonly<DecodedEvent>): boolean {
  const isSameSource = a.source.site === b.source.site && a.source.node === b.source.node && a.source.component === b.source.component;
  return isSameSource && (a.labels === b.labels || JSON.stringify(a.labels) === JSON.stringify(b.labels));
}

function resourceOf({ source, labels = {} }: Readonly<DecodedEvent>): KeyValue[] {
  const { site, node, component } = source;
  const named = Object.entries(labels).map(([name, value]): [string, string] => [`${OWN}label.${name}`, value]);
  const pairs: [string, string][] = [['service.name', component], ['host.name', node], [`${OWN}site`, site], ...named];
  return pairs.map(([key, value]) => textMember(key, value));
}

export function logRecord({ event, delivery }: Delivery): LogRecord {
  const time = nanosOf(event.time);
  const observed = nanosOf(event.receivedTime);
  const trace = TRACEPARENT.exec(event.traceparent ?? '');
  const [, traceId = '', spanId = '', flags = ''] = trace ?? [];
  return {
    ...(time !== undefined && { timeUnixNano: time }),
    ...(observed !== undefined && { observedTimeUnixNano: observed }),
    severityNumber: SEVERITY_NUMBER[event.severity],
    severityText: event.severity,
    eventName: event.type,
    body: text(event.message),
    attributes: [
      textMember(UID, event.id),
      ...ownAttributes(event),
      ...(time === undefined ? [textMember(`${OWN}time`, event.time)] : []),
      ...(event.traceparent !== undefined && !trace ? [textMember(`${OWN}traceparent`, event.traceparent)] : []),
      ...rest(event),
      textMember(`${OWN}delivery.writer`, delivery.writer),
      textMember(`${OWN}delivery.lane`, delivery.lane),
      textMember(`${OWN}delivery.series`, delivery.series),
      intMember(`${OWN}delivery.seq`, delivery.seq),
    ],
    ...(trace && { traceId, spanId, flags: Number.parseInt(flags, 16) }),
  };
}

/** What OpenTelemetry has no place for, as far as it says more than that this is a first occurrence. */
function rest({ object, revision, count, added, firstTime, lastTime, summarizes, via, foreign }: Readonly<DecodedEvent>): KeyValue[] {
  const given = object
    ? OBJECT_FIELDS.flatMap((name) => (object[name] === undefined ? [] : [textMember(`${OWN}object.${name}`, object[name])]))
    : [];
  if (revision === 0 && count === 1 && added === 1 && !via && !foreign) return given;
  return [
    ...given,
    ...[intMember(`${OWN}revision`, revision), intMember(`${OWN}count`, count), intMember(`${OWN}added`, added)],
    ...[textMember(`${OWN}firstTime`, firstTime), textMember(`${OWN}lastTime`, lastTime)],
    ...(summarizes === undefined || summarizes === '' ? [] : [textMember(`${OWN}summarizes`, summarizes)]),
    ...(via ? [{ key: `${OWN}via`, value: { arrayValue: { values: via.map(text) } } }] : []),
    ...(foreign ? [textMember(`${OWN}foreign.source`, foreign.source), textMember(`${OWN}foreign.id`, foreign.id)] : []),
  ];
}

function ownAttributes(event: Readonly<DecodedEvent>): KeyValue[] {
  const { attributes, attributesText } = event;
  const names = Object.keys(attributes);
  const taken = names.filter((name) => name !== '' && name !== UID && !name.startsWith(OWN));
  const isExact = taken.length === names.length && !isDeeper(attributes, DEPTH_MAX) && JSON.stringify(attributes) === attributesText;
  return [
    ...taken.map((key) => ({ key: wellFormed(key), value: valueOf(attributes[key], DEPTH_MAX - 1) })),
    ...(isExact && !LONE.test(attributesText) ? [] : [textMember(`${OWN}attributes`, attributesText)]),
  ];
}

function valueOf(value: unknown, levels: number): AnyValue {
  if (typeof value === 'string') return text(value);
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'number') {
    // JSON has no -0.0, so protobuf has none here either.
    return Number.isSafeInteger(value) && !Object.is(value, -0) ? { intValue: String(value) } : { doubleValue: value + 0 };
  }
  if (typeof value !== 'object' || value === null) return {};
  if (levels === 0) return text(JSON.stringify(value));
  if (Array.isArray(value)) return { arrayValue: { values: value.map((item) => valueOf(item, levels - 1)) } };
  const values = Object.entries(value).map(([key, member]) => ({ key: wellFormed(key), value: valueOf(member, levels - 1) }));
  return { kvlistValue: { values } };
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value as JsonObject).some((member) => isDeeper(member, levels - 1));
}

function text(value: string): AnyValue {
  return { stringValue: wellFormed(value) };
}

function textMember(key: string, value: string): KeyValue {
  return { key: wellFormed(key), value: text(value) };
}

function intMember(key: string, value: number): KeyValue {
  return { key, value: { intValue: String(value) } };
}

/** Half of a surrogate pair, which JSON may escape and UTF-8 cannot hold. */
const LONE = /\p{Surrogate}|\\u[dD][89a-fA-F]/u;
const LONES = /\p{Surrogate}/gu;

function wellFormed(value: string): string {
  return value.replaceAll(LONES, '\ufffd');
}

/** Nanoseconds since 1970, as far as 64 bits hold them (1970 to 2554); undefined for any other time. */
function nanosOf(time: string): string | undefined {
  const parsed = parseTime(time);
  if (!parsed) return undefined;
  const nanos = BigInt(parsed.seconds) * 1_000_000_000n + BigInt(parsed.nanos);
  return nanos > 0n && nanos < 2n ** 64n ? String(nanos) : undefined;
}
