/** Events of a store as `fondaco record --file` takes them. */
import { FIELD, type DecodedEvent } from '../core/event-codec.ts';
import { ProtobufReader } from '../core/protobuf.ts';

/** An event in its input form (core/event-input.ts): the attributes' text as it came. `bytes` are those that it was decoded from. */
export function inputLine(event: DecodedEvent, bytes: Buffer): string {
  const { type, severity, time, message, source, object, attributesText, traceparent } = event;
  const { node, component } = source;
  const dedupKey = textField(bytes, FIELD.dedupKey);
  const text = JSON.stringify({ type, severity, time, message, source: { node, component }, object, dedupKey, traceparent });
  return attributesText === '{}' ? text : `${text.slice(0, -1)},"attributes":${attributesText}}`;
}

function textField(bytes: Buffer, field: number): string | undefined {
  let text: string | undefined;
  for (const reader = new ProtobufReader().over(bytes); reader.next();) {
    if (reader.field === field) text = bytes.toString('utf8', reader.start, reader.at);
  }
  return text;
}
