/**
 * An event as a syslog message of at most so many bytes. The two formats differ in their layout only.
 *
 *     RFC 5424   <PRI>1 2026-11-22T08:00:00.123456Z HOSTNAME APP-NAME - MSGID [fondaco@32473 …] text
 *     RFC 3164   <PRI>Nov 22 08:00:00 HOSTNAME TAG: text [fondaco@32473 …]
 *
 * What is too large is cut between characters: attributes first, then labels, then the text, then what else is long. A cut value ends with `…`,
 * and the parameter `cut` names all that were cut. Nothing depends on the attempt or on the clock, so that a repeat is the same bytes.
 */
import { FondacoError } from '../../core/errors.ts';
import type { Delivery } from '../../core/writer.ts';
import { CUT_ORDER, eventParams } from './event-params.ts';
import { exact, EXACT, formatElement, hasControl, paramsOf, visible, type Param } from './structured-data.ts';

/** A format: whether its header holds the time of an event with all its digits, and the whole of a message. */
export interface Layout {
  readonly holdsTime: (time: string) => boolean;
  /** `text` and `data` have no control characters; `data` is one element. */
  readonly put: (event: Delivery['event'], text: string, data: string) => string;
}

export interface MessageOptions {
  readonly layout: Layout;
  readonly sdId: string;
  readonly bytesMax: number;
}

const MARK = '…';
const MARK_BYTES = Buffer.byteLength(MARK);

/** The bytes of a message, without any frame. Throws REJECTED where not even what names the event has room. */
export function formatMessage(delivery: Delivery, options: MessageOptions): Buffer {
  const { layout, sdId, bytesMax } = options;
  const { event } = delivery;
  const params = eventParams(delivery, layout.holdsTime(event.time));
  const parts = new Map<string, string>([...params, ['message', event.message]]);
  const isCut = new Set<string>();
  const put = (): Buffer =>
    Buffer.from(layout.put(event, parts.get('message') ?? '', formatElement({ id: sdId, params: shown(parts, isCut) })));

  if (isInexact(event.message)) parts.set(`message${EXACT}`, exact(event.message)).set('message', visible(event.message));
  let bytes = put();
  for (const name of CUT_ORDER) {
    if (bytes.length <= bytesMax) return bytes;
    if (!parts.has(name)) continue;
    isCut.add(name);
    parts.delete(name + EXACT);
    parts.set(name, visible(parts.get(name)!));
    // Twice: the mark may turn a text of ASCII into one that begins with a byte order mark.
    for (let tries = 0; tries < 2 && (bytes = put()).length > bytesMax; tries++) shorten(parts, name, bytes.length - bytesMax);
    bytes = put();
  }
  if (bytes.length <= bytesMax) return bytes;
  throw new FondacoError('REJECTED', `a message must have at most ${bytesMax} bytes, got ${bytes.length} without all that can be cut`);
}

/** Whether the text of a message cannot say it: control characters are shown, and a byte order mark of its own is taken for ours. */
function isInexact(text: string): boolean {
  return hasControl(text) || text.startsWith('\uFEFF');
}

/** The parameters as they are written. */
function shown(parts: ReadonlyMap<string, string>, isCut: ReadonlySet<string>): Param[] {
  const params: Param[] = [];
  for (const [name, value] of parts) {
    if (name === 'message') continue;
    if (isCut.has(name) || name === `message${EXACT}`) params.push([name, value]);
    else params.push(...paramsOf(name, value));
  }
  if (isCut.size > 0) params.push(['cut', [...isCut].join(' ')]);
  return params;
}

/** Makes a value so many bytes shorter, as they are written; it goes where that leaves nothing of it. */
function shorten(parts: Map<string, string>, name: string, bytes: number): void {
  const whole = parts.get(name) ?? '';
  const value = whole.endsWith(MARK) ? whole.slice(0, -1) : whole;
  const isText = name === 'message';
  const room = writtenBytes(whole, isText) - bytes - MARK_BYTES;
  if (room > 0) parts.set(name, cutTo(value, room, isText) + MARK);
  else if (isText) parts.set(name, MARK);
  else parts.delete(name);
}

/** The longest beginning that takes so many bytes as it is written, between two characters. */
function cutTo(text: string, bytesMax: number, isText: boolean): string {
  let bytes = 0;
  let end = 0;
  for (const char of text) {
    bytes += writtenBytes(char, isText);
    if (bytes > bytesMax) break;
    end += char.length;
  }
  return text.slice(0, end);
}

/** A value has a backslash before each special character, the text of a message has not. */
function writtenBytes(text: string, isText: boolean): number {
  return Buffer.byteLength(text) + (isText ? 0 : (text.match(/["\\\]]/g)?.length ?? 0));
}
