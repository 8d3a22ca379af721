/** An event as a proxy's HTTP surface shows it: the native JSON of the http writer without `delivery`, with its place in the journal. */
import { FondacoError } from '../core/errors.ts';
import type { EventSource, FondacoEvent } from '../core/event.ts';
import { findMember } from '../core/json-text.ts';
import type { EntryKind } from '../core/journal.ts';
import type { Lane } from '../core/lane.ts';
import { SEVERITIES, type Severity } from '../core/severity.ts';
import { consoleLine, visible } from '../writers/console-line.ts';

export interface EventView extends FondacoEvent {
  readonly source: EventSource & { readonly site: string };
  readonly lane: Lane;
  readonly position: number;
  readonly epoch: number;
  /** accepted: recorded by an agent. folded: counted instead of delivered. made: the proxy's own, or a summary. */
  readonly kind: EntryKind;
  /** Of a folded one: the id of the first of its window. */
  readonly foldedInto?: string;
}

/** Which events, for the query of the HTTP surface. */
export interface EventFilter {
  readonly type?: string;
  readonly minSeverity?: Severity;
  readonly node?: string;
  readonly component?: string;
  readonly lane?: Lane;
}

/** `?a=1&b=2` of what is given; '' for nothing. */
export function query(values: Readonly<Record<string, string | number | undefined>>): string {
  const given = Object.entries(values).filter((pair): pair is [string, string | number] => pair[1] !== undefined);
  const text = given.map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join('&');
  return text === '' ? '' : `?${text}`;
}

/** One event of JSON text. Rejects UNAVAILABLE for what is none: it comes from the network. */
export function parseEventView(text: string): EventView {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // said below
  }
  return checkEventView(value);
}

/** Checks as much as is needed to show it. Rejects UNAVAILABLE for what is no event. */
export function checkEventView(value: unknown): EventView {
  const { id, type, severity, time, message, source } = (value ?? {}) as Partial<Record<string, unknown>>;
  const { node, component } = (source ?? {}) as Partial<Record<string, unknown>>;
  const areTexts = [id, type, severity, time, message, node, component].every((text) => typeof text === 'string');
  if (areTexts && SEVERITIES.includes(severity as Severity)) return value as EventView;
  const got = visible((JSON.stringify(value) ?? 'nothing').slice(0, 200));
  throw new FondacoError('UNAVAILABLE', `the proxy must answer with events, got ${got}: is that a proxy of this version?`);
}

/** One readable line, as the console writer has it. `text`: the JSON that the event was read from, for its attributes as they are. */
export function eventLine(event: EventView, text: string, isColored: boolean): string {
  return consoleLine({ ...event, type: visible(event.type), time: visible(event.time), attributesText: attributesOf(text) }, isColored);
}

/** The text of the attributes: what JSON.parse makes of `-0.0` is not what was recorded. */
export function attributesOf(text: string): string {
  const attributes = findMember(text, 'attributes');
  return attributes === '' ? '{}' : attributes;
}

/** `Kind/name`, or what there is of it. */
export function objectOf({ object }: Pick<FondacoEvent, 'object'>): string {
  const { kind = '', name = '' } = object ?? {};
  return kind !== '' && name !== '' ? `${kind}/${name}` : kind + name;
}
