import { dedupKeyOf } from './dedup-key.ts';
import { FondacoError } from './errors.ts';
import { EVENT_TYPE, LIMITS, OBJECT_FIELDS, type EventObject, type JsonObject } from './event.ts';
import { describeFault, shapeOfJson } from './json-shape.ts';
import { findMember, firstRepeatedName, firstUnsafeNumber, isDeeperThan } from './json-text.ts';
import { SEVERITIES, SEVERITY_NUMBER, type Severity } from './severity.ts';
import { isTimestamp, parseTime, timestampOf, type Timestamp } from './time.ts';
import type { TypeRules } from './type-rules.ts';

/** What `recorder.event` takes beside type, severity and message. */
export interface EventDetails {
  readonly object?: EventObject;
  /** Any JSON object, 32 KiB encoded. */
  readonly attributes?: JsonObject;
  /** When it happened, if not now: RFC 3339, years 0001 to 9999, or a Date. Nothing depends on it. */
  readonly time?: string | Date;
  /** On behalf of another: its node and component. */
  readonly source?: { readonly node?: string; readonly component?: string };
  /** Replaces object, message and attributes in what makes two events the same for dedup. */
  readonly dedupKey?: string;
  /** W3C trace context; kept as it is, also where it is none: an event is not refused for what somebody else sent. */
  readonly traceparent?: string;
}

/** A checked event, ready to be encoded. */
export interface EventFields {
  readonly type: string;
  readonly severity: number;
  readonly node: string;
  readonly component: string;
  readonly object: EventObject | undefined;
  readonly message: string;
  /** JSON text of an object; '' for none. */
  readonly attributes: string;
  readonly time: Timestamp;
  readonly dedupKey: string;
  readonly traceparent: string;
}

export interface InputDefaults {
  readonly node: string;
  readonly component: string;
  /** The severity where none is given, and no catalog has one; without it a severity is required. */
  readonly severity?: Severity;
  /** What catalogs say; without them every type is taken. */
  readonly types?: TypeRules | undefined;
  /** The catalogs are not known yet: a severity that is not given is 0, until `completeFields`. */
  readonly isEarly?: boolean;
}

const EVENT_KEYS = ['type', 'severity', 'time', 'message', 'source', 'object', 'attributes', 'dedupKey', 'traceparent'];
const DETAIL_KEYS = ['object', 'attributes', 'time', 'source', 'dedupKey', 'traceparent'];

/** Checks the arguments of a call. Throws REJECTED with field, expected and got. */
export function checkCall(
  call: { type: unknown; severity: unknown; message: unknown; details: unknown },
  defaults: InputDefaults,
  now: number,
): EventFields {
  const { type, severity, message, details } = call;
  if (details === undefined) return checkFields({ type, severity, message, details: {}, attributes: '' }, defaults, now);
  if (!isObject(details)) throw rejected('details', 'an object', details);
  onlyKeys(details, DETAIL_KEYS, 'details');
  return checkFields({ type, severity, message, details, attributes: attributesText(details.attributes) }, defaults, now);
}

/**
 * Reads one event from JSON text, in the input form of an event (no id yet). Throws REJECTED with field, expected and got.
 * Attributes are kept as the text that came, so that `-0.0` or `1.10` arrive as they were written.
 */
export function parseEvent(text: string, defaults: InputDefaults, now: number): EventFields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new FondacoError('REJECTED', `event must be JSON, ${describeFault(text, shapeOfJson(text).fault ?? 0)}`, {
      cause: error,
      field: 'event',
    });
  }
  if (!isObject(value)) throw rejected('event', 'a JSON object', value);
  onlyKeys(value, EVENT_KEYS, 'event');
  if (value.attributes !== undefined && !isObject(value.attributes)) throw rejected('attributes', 'a JSON object', value.attributes);
  checkNames(text);
  const attributes = value.attributes === undefined ? '' : findMember(text, 'attributes');
  return checkFields({ type: value.type, severity: value.severity, message: value.message, details: value, attributes }, defaults, now);
}

interface RawFields {
  type: unknown;
  severity: unknown;
  message: unknown;
  details: JsonObject;
  attributes: string;
}

function checkFields({ type, severity, message, details, attributes }: RawFields, defaults: InputDefaults, now: number): EventFields {
  checkAttributes(attributes);
  const source = checkSource(details.source, defaults);
  const fields = {
    type: checkType(type),
    severity: severity === undefined ? 0 : checkSeverity(severity),
    message: checkText('message', message, LIMITS.messageBytes),
    node: source.node,
    component: source.component,
    object: details.object === undefined ? undefined : checkObject(details.object),
    attributes,
    time: details.time === undefined ? timestampOf(now) : checkTime(details.time),
    dedupKey: details.dedupKey === undefined ? '' : checkText('dedupKey', details.dedupKey, LIMITS.nameBytes),
    traceparent: details.traceparent === undefined ? '' : checkText('traceparent', details.traceparent, LIMITS.traceparentBytes),
  };
  return defaults.isEarly === true ? fields : completeFields(fields, defaults);
}

/**
 * Fills in what the call left out and a catalog says: severity, and the dedupKey that stands for the dedup fields. Throws REJECTED for a type
 * that is refused, and for a severity that nobody gives.
 */
export function completeFields(
  fields: EventFields,
  { types, severity: byDefault }: Pick<InputDefaults, 'types' | 'severity'>,
): EventFields {
  const refusal = types?.refusal(fields.type);
  if (refusal !== undefined) throw new FondacoError('REJECTED', refusal, { field: 'type' });
  const known = types?.find(fields.type);
  const severity = fields.severity === 0 ? checkSeverity(known?.severity ?? byDefault) : fields.severity;
  const dedupKey = fields.dedupKey === '' && known?.dedupFields ? dedupKeyOf(known.dedupFields, fields) : fields.dedupKey;
  return severity === fields.severity && dedupKey === fields.dedupKey ? fields : { ...fields, severity, dedupKey };
}

/** Types that passed the pattern lately: a program has few, and records them often. */
const knownTypes = new Set<string>();

function checkType(type: unknown): string {
  if (typeof type === 'string' && knownTypes.has(type)) return type;
  if (typeof type !== 'string' || !EVENT_TYPE.test(type)) {
    throw rejected('type', 'a letter, then up to 127 letters, digits or any of _ . -', type);
  }
  if (knownTypes.size >= 1000) knownTypes.clear();
  knownTypes.add(type);
  return type;
}

function checkSeverity(severity: unknown): number {
  if (typeof severity === 'string' && Object.hasOwn(SEVERITY_NUMBER, severity)) return SEVERITY_NUMBER[severity as Severity];
  throw rejected('severity', `one of ${SEVERITIES.join(', ')}`, severity);
}

function checkText(field: string, value: unknown, bytesMax: number): string {
  if (typeof value !== 'string') throw rejected(field, 'a string', value);
  // Three bytes a unit at most: most texts need no second look.
  if (value.length * 3 > bytesMax) {
    const bytes = Buffer.byteLength(value);
    if (bytes > bytesMax)
      throw new FondacoError('REJECTED', `${field} must be at most ${bytesMax} bytes of UTF-8, got ${bytes}`, { field });
  }
  return value;
}

function checkSource(source: unknown, defaults: InputDefaults): { node: string; component: string } {
  if (source === undefined) return defaults;
  if (!isObject(source)) throw rejected('source', 'an object with node and component', source);
  onlyKeys(source, ['node', 'component'], 'source');
  return {
    node: source.node === undefined ? defaults.node : checkText('source.node', source.node, LIMITS.nameBytes),
    component: source.component === undefined ? defaults.component : checkText('source.component', source.component, LIMITS.nameBytes),
  };
}

function checkObject(object: unknown): EventObject {
  if (!isObject(object)) throw rejected('object', `an object with any of ${OBJECT_FIELDS.join(', ')}`, object);
  onlyKeys(object, OBJECT_FIELDS, 'object');
  const checked: Record<string, string> = {};
  for (const field of OBJECT_FIELDS) {
    if (object[field] !== undefined) checked[field] = checkText(`object.${field}`, object[field], LIMITS.nameBytes);
  }
  return checked;
}

function checkTime(time: unknown): Timestamp {
  const timestamp = time instanceof Date ? timestampOf(time.getTime()) : typeof time === 'string' ? parseTime(time) : undefined;
  if (!timestamp || !isTimestamp(timestamp.seconds, timestamp.nanos))
    throw rejected('time', 'RFC 3339 such as 2026-11-22T08:00:00.123456Z, seconds 00 to 59', time);
  return timestamp;
}

function attributesText(attributes: unknown): string {
  if (attributes === undefined) return '';
  if (!isObject(attributes)) throw rejected('attributes', 'a JSON object', attributes);
  try {
    const text: unknown = JSON.stringify(attributes);
    if (typeof text === 'string' && text.startsWith('{')) return text;
  } catch (error) {
    throw new FondacoError('REJECTED', `attributes must be what JSON can hold, ${(error as Error).message}`, {
      cause: error,
      field: 'attributes',
    });
  }
  throw rejected('attributes', 'a JSON object', attributes);
}

function checkAttributes(text: string): void {
  if (text === '') return;
  checkText('attributes', text, LIMITS.attributesBytes);
  if (isDeeperThan(LIMITS.attributesDepth, text)) {
    throw new FondacoError('REJECTED', `attributes must be nested at most ${LIMITS.attributesDepth} deep, got more`, {
      field: 'attributes',
    });
  }
  const unsafe = firstUnsafeNumber(text);
  if (unsafe !== undefined) {
    const beyond = unsafe.isInfinite ? 'number beyond 1.7e308' : 'integer beyond 2^53';
    throw new FondacoError('REJECTED', `attributes must hold no ${beyond}, got ${unsafe.number}: send it as a string`, {
      field: 'attributes',
    });
  }
}

/** Of a text that JSON.parse took: it said nothing of a name that it overwrote. */
function checkNames(text: string): void {
  const repeated = firstRepeatedName(text);
  if (!repeated) return;
  const field = repeated.within ?? 'event';
  throw new FondacoError('REJECTED', `${field} must have each key once, got ${show(repeated.name)} twice`, { field });
}

function onlyKeys(object: JsonObject, allowed: readonly string[], where: string): void {
  for (const key of Object.keys(object)) {
    if (!allowed.includes(key)) {
      throw new FondacoError('REJECTED', `${where} has an unknown key, expected any of ${allowed.join(', ')}, got ${show(key)}`, {
        field: where,
      });
    }
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function rejected(field: string, expected: string, got: unknown): FondacoError {
  return new FondacoError('REJECTED', `${field} must be ${expected}, got ${show(got)}`, { field });
}

/** A value as a person recognises it, at most 60 characters of it. */
function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'function') return 'a function';
  let text: string;
  try {
    text =
      typeof value === 'bigint'
        ? `${value}n`
        : (JSON.stringify(value) ?? (typeof value === 'symbol' ? value.toString() : 'something else'));
  } catch {
    text = `an ${Array.isArray(value) ? 'array' : 'object'} that cannot be shown`; // nested too deeply, in a circle, or with a bigint
  }
  return text.length > 60 ? `${text.slice(0, 60)}… (${typeof value === 'string' ? value.length : text.length} characters)` : text;
}
