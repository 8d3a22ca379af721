import { findMember } from '../../core/json-text.ts';
import type { Received } from '../contract/writer-contract.ts';

/** The JSON texts of the members of a JSON array, without making values of them. */
export function arrayMembers(text: string): string[] {
  const members: string[] = [];
  let depth = 0;
  let isString = false;
  let start = 1;
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    if (isString) {
      if (char === '\\') at++;
      else if (char === '"') isString = false;
    } else if (char === '"') isString = true;
    else if (char === '[' || char === '{') depth++;
    else if (char === ']' || char === '}') {
      depth--;
      if (depth === 0 && at > start) members.push(text.slice(start, at));
    } else if (char === ',' && depth === 1) {
      members.push(text.slice(start, at));
      start = at + 1;
    }
  }
  return members;
}

interface NativeEvent {
  id: string;
  type: string;
  severity: string;
  time: string;
  message: string;
  source: Received['source'];
  object?: unknown;
  labels?: unknown;
  delivery: { seq: number };
}

/** An event in native JSON. */
export function fromNative(text: string): Received {
  const { id, type, severity, time, message, source, object, labels, delivery } = JSON.parse(text) as NativeEvent;
  return {
    id,
    type,
    severity,
    time,
    message,
    source,
    ...optional(object, labels),
    attributesText: findMember(text, 'attributes'),
    seq: delivery.seq,
  };
}

interface CloudEventJson {
  id: string;
  type: string;
  source: string;
  severitytext: string;
  time: string;
  sequence: string;
  data: { message: string; object?: unknown; labels?: unknown };
}

/** An event in CloudEvents JSON. */
export function fromCloudEvent(text: string): Received {
  const { id, type, source, severitytext, time, sequence, data } = JSON.parse(text) as CloudEventJson;
  const [site = '', node = '', component = ''] = source.slice(2).split('/').map(decodeURIComponent);
  return {
    id,
    type,
    severity: severitytext,
    time,
    message: data.message,
    source: { site, node, component },
    ...optional(data.object, data.labels),
    attributesText: findMember(findMember(text, 'data'), 'attributes'),
    seq: Number(sequence),
  };
}

function optional(object: unknown, labels: unknown): { object?: unknown; labels?: unknown } {
  return { ...(object === undefined ? {} : { object }), ...(labels === undefined ? {} : { labels }) };
}
