/** An event as one line for people, and text that cannot harm their terminal. */
import { styleText } from 'node:util';
import type { EventObject } from '../core/event.ts';
import type { Severity } from '../core/severity.ts';

/** What a line shows of an event. */
export interface LineEvent {
  readonly time: string;
  readonly severity: Severity;
  readonly type: string;
  readonly message: string;
  readonly object?: EventObject;
  readonly source: { readonly node: string; readonly component: string };
  readonly revision: number;
  readonly count: number;
  /** JSON text of an object. */
  readonly attributesText: string;
}

type Color = 'gray' | 'cyan' | 'yellow' | 'red' | 'magenta';

const COLORS: Readonly<Record<Severity, Color>> = { debug: 'gray', info: 'cyan', warn: 'yellow', error: 'red', critical: 'magenta' };

/** `2026-11-22 08:00:00.123  WARN      net.LinkDown  eth0 went down  [Interface/eth0]  ×12  n2/agent  {"speed":1000}`. */
export function consoleLine(event: LineEvent, isColored: boolean): string {
  const paint = (color: Color | 'dim' | 'bold', text: string): string =>
    isColored ? styleText(color, text, { validateStream: false }) : text;
  const { object, source } = event;
  const parts = [
    paint('dim', event.time.slice(0, 23).replace('T', ' ').replace(/Z$/, '').padEnd(23)),
    paint(COLORS[event.severity], event.severity.toUpperCase().padEnd(8)),
    paint('bold', event.type),
    visible(event.message),
  ];
  if (object && ((object.kind ?? '') !== '' || (object.name ?? '') !== ''))
    parts.push(visible(`[${object.kind ?? ''}/${object.name ?? ''}]`));
  if (event.revision > 0) parts.push(paint('yellow', `×${event.count}`));
  parts.push(paint('dim', visible(`${source.node}/${source.component}`)));
  if (event.attributesText !== '{}') parts.push(paint('dim', visible(event.attributesText)));
  return parts.join('  ');
}

/**
 * What would move the cursor, change colours, or turn the reading direction: C0 and C1 controls, line and paragraph separators, and
 * the invisible formatting characters (zero width, BOM, bidirectional overrides).
 */
export const HIDDEN = /[\p{Cc}\p{Zl}\p{Zp}\u{AD}\u{61C}\u{200B}-\u{200F}\u{202A}-\u{202E}\u{2060}-\u{206F}\u{FEFF}]/gu;
const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\u{1b}': '\\e' };
/** Joins emoji; moves nothing. */
const JOINER = '\u{200d}';

/** The text with its hidden characters made visible. */
export function visible(text: string): string {
  return text.replace(HIDDEN, (char) => (char === JOINER ? char : (SHORT[char] ?? `\\u{${char.codePointAt(0)?.toString(16) ?? ''}}`)));
}
