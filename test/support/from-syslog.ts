/** An event as a syslog message tells it: what came, read back. */
import { OBJECT_FIELDS } from '../../core/event.ts';
import { objectParam } from '../../writers/syslog/event-params.ts';
import { SYSLOG_SEVERITY } from '../../writers/syslog/priority.ts';
import { parseSyslog, type SyslogMessage } from '../../writers/syslog/parser.ts';
import { EXACT } from '../../writers/syslog/structured-data.ts';
import type { Received } from '../contract/writer-contract.ts';

export interface SyslogEvent extends Received {
  readonly writer: string;
  readonly lane: string;
  readonly series: string;
  readonly revision: number;
  readonly count: number;
  readonly added: number;
  /** What of it was cut. */
  readonly cut: readonly string[];
}

/** Reads a whole message. Throws where it is none of ours. */
export function fromSyslog(message: string, sdId = 'fondaco@32473'): SyslogEvent {
  const parsed = parseSyslog(message);
  if (!parsed) throw new Error(`not syslog: ${JSON.stringify(message)}`);
  return eventOfSyslog(parsed, sdId);
}

export function eventOfSyslog(
  parsed: Pick<SyslogMessage, 'severity' | 'timestamp' | 'elements' | 'text'>,
  sdId = 'fondaco@32473',
): SyslogEvent {
  const params = new Map(parsed.elements.find(({ id }) => id === sdId)?.params);
  const value = (name: string): string | undefined => {
    const exact = params.get(name + EXACT);
    return exact === undefined ? params.get(name) : (JSON.parse(exact) as string);
  };
  const severity = Object.entries(SYSLOG_SEVERITY).find(([, number]) => number === parsed.severity)?.[0] ?? '';
  const object = objectOf(value);
  const cut = value('cut')?.split(' ') ?? [];
  const labels = cut.includes('labels') ? undefined : value('labels');
  return {
    id: value('id') ?? '',
    type: value('type') ?? '',
    severity,
    time: value('time') ?? parsed.timestamp ?? '',
    message: params.has(`message${EXACT}`) ? value('message')! : parsed.text,
    source: { site: value('site') ?? '', node: value('node') ?? '', component: value('component') ?? '' },
    ...(object && { object }),
    ...(labels !== undefined && { labels: JSON.parse(labels) as unknown }),
    attributesText: value('attributes') ?? '{}',
    seq: Number(value('seq')),
    writer: value('writer') ?? '',
    lane: value('lane') ?? '',
    series: value('series') ?? '',
    revision: Number(value('revision') ?? 0),
    count: Number(value('count') ?? 1),
    added: Number(value('added') ?? 1),
    cut,
  };
}

function objectOf(value: (name: string) => string | undefined): Record<string, string> | undefined {
  const fields = OBJECT_FIELDS.flatMap((name) => {
    const text = value(objectParam(name));
    return text === undefined ? [] : [[name, text] as const];
  });
  if (fields.length === 0) return undefined;
  return Object.fromEntries(fields.filter(([, text]) => text !== ''));
}

/** What the contract looks at. */
export function asReceived(event: SyslogEvent): Received {
  const { id, type, severity, time, message, source, attributesText, seq } = event;
  const optional = { ...('object' in event && { object: event.object }), ...('labels' in event && { labels: event.labels }) };
  return { id, type, severity, time, message, source, ...optional, attributesText, seq };
}
