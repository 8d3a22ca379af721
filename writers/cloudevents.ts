/**
 * CloudEvents 1.0: in its JSON format, alone or as a batch (cloudevents/spec, JSON event format, sections 3 and 4), or with the attributes as
 * headers of HTTP and `data` as the body (HTTP protocol binding, section 3.1).
 *
 * | attribute | what |
 * |---|---|
 * | id | the event's id; with `.revision` for a summary |
 * | source | `//site/node/component`, each part percent-encoded |
 * | type, time | the event's |
 * | subject | `Kind/name` of the object |
 * | severitytext, severitynumber | `warn`, 13 (extension "severity") |
 * | recordedtime | the first proxy's clock (extension "recordedtime") |
 * | sequence | the delivery seq, 16 digits, so that text order is number order (extension "sequence", no sequencetype) |
 * | traceparent | W3C trace context, where it is one (extension "distributed tracing") |
 * | data | the rest, `object` whole, because a subject cannot be taken apart again |
 *
 * Attributes of the event are the text that was recorded, not what JSON.parse makes of it. Nothing depends on the attempt or on the
 * clock, so that a repeat is the same bytes.
 */
import type { DecodedEvent } from '../core/event-codec.ts';
import { SEVERITY_NUMBER } from '../core/severity.ts';
import type { Delivery } from '../core/writer.ts';
import { quote, quoteMap, textMember } from './json-string.ts';

/** Structured mode, one event (JSON event format, section 3). */
export const CLOUDEVENT_TYPE = 'application/cloudevents+json';
export const CLOUDEVENTS_BATCH_TYPE = 'application/cloudevents-batch+json';

/** A batch as a JSON array of CloudEvents. */
export function cloudEventsBatch(batch: readonly Delivery[]): string {
  let text = '[';
  for (let i = 0; i < batch.length; i++) text += (i === 0 ? '' : ',') + cloudEvent(batch[i]!);
  return text + ']';
}

/** One event in the structured JSON format, on one line. */
export function cloudEvent(delivered: Delivery): string {
  const { event, delivery } = delivered;
  const traceparent = event.traceparent ?? '';
  const isTrace = TRACEPARENT.test(traceparent);
  return (
    `{"specversion":"1.0","id":${quote(cloudEventId(event))},"source":"${cloudEventSource(event.source)}","type":"${event.type}"` +
    textMember('subject', subject(event)) +
    `,"time":"${event.time}","severitytext":"${event.severity}","severitynumber":${SEVERITY_NUMBER[event.severity]}` +
    `,"recordedtime":"${event.receivedTime}","sequence":"${sequence(delivery.seq)}"` +
    (isTrace ? `,"traceparent":"${traceparent}"` : '') +
    `,"datacontenttype":"application/json","data":${data(delivered, isTrace ? '' : traceparent)}}`
  );
}

/** Binary mode: each attribute as a header. `datacontenttype` is the message's own `content-type`, and `cloudEventBody` its body. */
export function cloudEventHeaders({ event, delivery }: Delivery): Record<string, string> {
  const { traceparent = '' } = event;
  const about = subject(event);
  return {
    'ce-specversion': '1.0',
    'ce-id': headerValue(cloudEventId(event)),
    'ce-source': headerValue(cloudEventSource(event.source)),
    'ce-type': event.type,
    ...(about !== '' && { 'ce-subject': headerValue(about) }),
    'ce-time': event.time,
    'ce-severitytext': event.severity,
    'ce-severitynumber': String(SEVERITY_NUMBER[event.severity]),
    'ce-recordedtime': event.receivedTime,
    'ce-sequence': sequence(delivery.seq),
    ...(TRACEPARENT.test(traceparent) && { 'ce-traceparent': traceparent }),
  };
}

/** Binary mode: the body, `application/json`. */
export function cloudEventBody(delivered: Delivery): string {
  const { traceparent = '' } = delivered.event;
  return data(delivered, TRACEPARENT.test(traceparent) ? '' : traceparent);
}

/** Percent-encoded as section 3.1.3.2 of the HTTP binding has it: space, double quote, per cent, and whatever is not printable ASCII. */
function headerValue(text: string): string {
  return text.replace(/[^\x21-\x7e]|["%]/gu, encodeURIComponent);
}

function sequence(seq: number): string {
  return String(seq).padStart(16, '0');
}

/** Unique together with the source: the event's id, and its revision where it is not the first. */
export function cloudEventId(event: Readonly<DecodedEvent>): string {
  if (event.revision === 0) return event.id;
  const ending = `.${event.revision}`;
  return event.id.endsWith(ending) ? event.id : event.id + ending;
}

/** A URI-reference (RFC 3986): what is not unreserved in a part is percent-encoded, so that decodeURIComponent gives the part back. */
export function cloudEventSource({ site, node, component }: DecodedEvent['source']): string {
  return `//${encodePart(site)}/${encodePart(node)}/${encodePart(component)}`;
}

const UNRESERVED = /^[A-Za-z0-9._~-]*$/;
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;
/** What the text of a CloudEvents attribute must not hold: control characters and noncharacters (CloudEvents 1.0, "Type System"). */
const DISALLOWED = /[\p{Cc}\p{Noncharacter_Code_Point}]/gu;

function encodePart(part: string): string {
  return UNRESERVED.test(part) ? part : encodeURIComponent(part);
}

function subject({ object }: Readonly<DecodedEvent>): string {
  const { kind = '', name = '' } = object ?? {};
  if (kind === '' && name === '') return '';
  return `${kind}/${name}`.replace(DISALLOWED, encodeURIComponent);
}

function data({ event, delivery }: Delivery, traceparent: string): string {
  return (
    `{"message":${quote(event.message)},"attributes":${event.attributesText}` +
    (event.object ? `,"object":${JSON.stringify(event.object)}` : '') +
    (event.labels ? `,"labels":${quoteMap(event.labels)}` : '') +
    `,"revision":${event.revision},"count":${event.count},"added":${event.added}` +
    `,"firstTime":"${event.firstTime}","lastTime":"${event.lastTime}"` +
    textMember('summarizes', event.summarizes) +
    textMember('traceparent', traceparent) +
    (event.via ? `,"via":${JSON.stringify(event.via)}` : '') +
    (event.foreign ? `,"foreign":${JSON.stringify(event.foreign)}` : '') +
    `,"delivery":{"writer":"${delivery.writer}","lane":"${delivery.lane}","series":"${delivery.series}"}}`
  );
}
