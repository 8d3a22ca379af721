/** Reads a syslog message as RFC 5424 has it, and as RFC 3164 where it is not that; the structured data of the latter is what we put behind its text. */
import { parseElements, type Element } from './structured-data.ts';

export interface SyslogMessage {
  readonly format: 'rfc5424' | 'rfc3164';
  readonly facility: number;
  readonly severity: number;
  /** As it was written; undefined for the nil value. */
  readonly timestamp: string | undefined;
  readonly hostname: string | undefined;
  /** APP-NAME, or the tag. */
  readonly appName: string | undefined;
  readonly procId: string | undefined;
  readonly msgId: string | undefined;
  readonly elements: readonly Element[];
  /** Without a byte order mark. */
  readonly text: string;
  readonly hasBom: boolean;
}

const RFC_5424 = /^<(\d{1,3})>1 (\S{1,32}) ([\x21-\x7e]{1,255}) ([\x21-\x7e]{1,48}) ([\x21-\x7e]{1,128}) ([\x21-\x7e]{1,32}) /;
const RFC_3164 = /^<(\d{1,3})>([A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2}) (\S{1,255}) ([A-Za-z0-9._/-]{1,32}): ?/;
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?(?:Z|[+-]\d{2}:\d{2})$/;

/** Undefined for what is neither. */
export function parseSyslog(message: string): SyslogMessage | undefined {
  return parse5424(message) ?? parse3164(message);
}

function parse5424(message: string): SyslogMessage | undefined {
  const [header, pri, ...fields] = RFC_5424.exec(message) ?? [];
  if (header === undefined || Number(pri) > 191) return undefined;
  const rest = message.slice(header.length);
  const data = parseElements(rest);
  if (!data || (data.end < rest.length && rest[data.end] !== ' ')) return undefined;
  const [timestamp, hostname, appName, procId, msgId] = fields.map((field) => (field === '-' ? undefined : field));
  if (timestamp !== undefined && !TIME.test(timestamp)) return undefined;
  const text = rest.slice(data.end + 1);
  const hasBom = text.startsWith('\uFEFF');
  return {
    format: 'rfc5424',
    ...numbers(pri!),
    timestamp,
    hostname,
    appName,
    procId,
    msgId,
    elements: data.elements,
    text: hasBom ? text.slice(1) : text,
    hasBom,
  };
}

function parse3164(message: string): SyslogMessage | undefined {
  const [header, pri, timestamp, hostname, appName] = RFC_3164.exec(message) ?? [];
  if (header === undefined || Number(pri) > 191) return undefined;
  const { text, elements } = withoutElement(message.slice(header.length));
  return {
    format: 'rfc3164',
    ...numbers(pri!),
    timestamp,
    hostname: hostname === '-' ? undefined : hostname,
    appName,
    procId: undefined,
    msgId: undefined,
    elements,
    text,
    hasBom: false,
  };
}

/** Where an element ends the text, that is it: a value cannot hold what looks like one, because its quotes have backslashes. */
function withoutElement(whole: string): { text: string; elements: Element[] } {
  for (let at = whole.lastIndexOf('['); at >= 0; at = at === 0 ? -1 : whole.lastIndexOf('[', at - 1)) {
    if (at > 0 && whole[at - 1] !== ' ') continue;
    const data = parseElements(whole.slice(at));
    if (data && at + data.end === whole.length && data.elements.length === 1) {
      return { text: whole.slice(0, Math.max(0, at - 1)), elements: data.elements };
    }
  }
  return { text: whole, elements: [] };
}

function numbers(pri: string): { facility: number; severity: number } {
  return { facility: Math.floor(Number(pri) / 8), severity: Number(pri) % 8 };
}
