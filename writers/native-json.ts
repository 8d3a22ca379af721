/**
 * Fondaco's own JSON: the event of design section 4 with `delivery { writer, lane, series, seq }`. Attributes are the text that was
 * recorded, not what JSON.parse makes of it: `-0.0` stays `-0.0`. Nothing depends on the attempt or on the clock, so that a repeat
 * is the same bytes.
 */
import type { DecodedEvent } from '../core/event-codec.ts';
import type { Delivery } from '../core/writer.ts';
import { quote, quoteMap, textMember } from './json-string.ts';

export const NATIVE_JSON_TYPE = 'application/json';
/** Newline-delimited JSON: each line, the last too, ends with a line feed. */
export const NDJSON_TYPE = 'application/x-ndjson';

/** A batch as a JSON array. */
export function nativeBatch(batch: readonly Delivery[]): string {
  let text = '[';
  for (let i = 0; i < batch.length; i++) text += (i === 0 ? '' : ',') + nativeJson(batch[i]!);
  return text + ']';
}

/** A batch as lines. */
export function nativeLines(batch: readonly Delivery[]): string {
  let text = '';
  for (const delivery of batch) text += nativeJson(delivery) + '\n';
  return text;
}

/** One event, on one line. */
export function nativeJson({ event, delivery: { writer, lane, series, seq } }: Delivery): string {
  return `{${nativeMembers(event)},"delivery":{"writer":"${writer}","lane":"${lane}","series":"${series}","seq":${seq}}}`;
}

/** Consecutive events are of few sources, so the last text is kept. */
function quoteSource({ site, node, component }: DecodedEvent['source']): string {
  if (site !== lastSource.site || node !== lastSource.node || component !== lastSource.component) {
    lastSource = { site, node, component };
    lastSourceText = `{"site":${quote(site)},"node":${quote(node)},"component":${quote(component)}}`;
  }
  return lastSourceText;
}

let lastSource = { site: '', node: '', component: '' };
let lastSourceText = '{"site":"","node":"","component":""}';

/** What an event itself has, as members of an object. */
export function nativeMembers(event: Readonly<DecodedEvent>): string {
  const { source } = event;
  return (
    `"id":${quote(event.id)},"type":"${event.type}","severity":"${event.severity}","time":"${event.time}"` +
    `,"message":${quote(event.message)}` +
    `,"source":${quoteSource(source)}` +
    (event.labels ? `,"labels":${quoteMap(event.labels)}` : '') +
    (event.object ? `,"object":${JSON.stringify(event.object)}` : '') +
    `,"attributes":${event.attributesText},"receivedTime":"${event.receivedTime}"` +
    `,"revision":${event.revision},"count":${event.count},"added":${event.added}` +
    `,"firstTime":"${event.firstTime}","lastTime":"${event.lastTime}"` +
    textMember('summarizes', event.summarizes) +
    textMember('traceparent', event.traceparent) +
    (event.via ? `,"via":${JSON.stringify(event.via)}` : '') +
    (event.foreign ? `,"foreign":${JSON.stringify(event.foreign)}` : '')
  );
}
