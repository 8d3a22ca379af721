import { styleText } from 'node:util';
import type { Severity } from '../core/severity.ts';
import { visible } from '../writers/console-line.ts';
import type { ReceivedEvent } from './event-record.ts';

type Style = Parameters<typeof styleText>[0];

const COLORS: Readonly<Record<Severity, Style>> = {
  debug: 'gray',
  info: 'cyan',
  warn: 'yellow',
  error: 'red',
  critical: ['bold', 'magenta'],
};

/** Longer messages are shown cut; the record has the whole. */
const MESSAGE_CHARS_MAX = 160;
const TYPE_WIDTH = 20;

/** What the proxy reports as missing. */
export const LOSS_TYPE = 'fondaco.Loss';

/**
 * One line for a person: `08:00:00.123  WARN      host.LoadHigh  Host/n2  load is 3.1 …  ×12`. The time is the event's own, in the zone of
 * this machine. Nothing in an event can move the cursor or change colours.
 */
export function eventLine(event: ReceivedEvent, isColored: boolean): string {
  const paint = (style: Style, text: string): string => (isColored ? styleText(style, text, { validateStream: false }) : text);
  const { type, severitytext, data } = event;
  const { kind = '', name = '' } = data.object ?? {};
  const object = name === '' ? kind : `${kind}/${name}`;
  const parts = [
    paint('dim', timeOfDay(event.time)),
    paint(COLORS[severitytext], severitytext.toUpperCase().padEnd(8)),
    paint('bold', visible(type).padEnd(TYPE_WIDTH)),
    ...(object === '' ? [] : [paint('dim', shown(object))]),
    shown(data.message),
    ...(data.revision > 0 ? [paint('yellow', `×${data.count}`)] : []),
  ];
  return type === LOSS_TYPE ? `${paint(['inverse', 'red'], ' LOST ')}  ${parts.join('  ')}` : parts.join('  ');
}

function shown(text: string): string {
  return visible(text.length > MESSAGE_CHARS_MAX ? `${text.slice(0, MESSAGE_CHARS_MAX - 1)}…` : text);
}

function timeOfDay(time: string): string {
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return visible(time.slice(0, 30));
  const two = (number: number): string => String(number).padStart(2, '0');
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, '0')}`;
}
