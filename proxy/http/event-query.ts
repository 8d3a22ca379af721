/** What a request for events may say in its query, and how a place in the journal is written. */
import type { DecodedEvent } from '../../core/event-codec.ts';
import { matchesGlob } from '../../core/glob.ts';
import { LANES, type Lane } from '../../core/lane.ts';
import { SEVERITIES, SEVERITY_NUMBER, type Severity } from '../../core/severity.ts';
import { parseTime } from '../../core/time.ts';
import type { Place } from '../../dispatcher/history/history.ts';
import { HttpError } from './http-error.ts';

/** The parameters that choose events, for lists and streams alike. */
export const FILTERS: readonly string[] = ['type', 'minSeverity', 'node', 'component', 'since', 'until', 'lane'];

export interface EventQuery {
  readonly wants: (event: DecodedEvent) => boolean;
  readonly lanes: readonly Lane[];
  /** ms since 1970, by when the proxy received it. */
  readonly since?: number;
  readonly until?: number;
}

/** The query's parameters, each given once, none of another name. Throws 400. */
export function parametersOf(query: unknown, allowed: readonly string[]): Readonly<Record<string, string>> {
  const parameters: Record<string, string> = {};
  for (const [name, value] of Object.entries(query as Record<string, string | string[]>)) {
    if (!allowed.includes(name)) throw bad(name.slice(0, 60), `unknown parameter, expected any of ${allowed.join(', ')}, got`, name);
    if (typeof value !== 'string') throw new HttpError(400, `${name} must be given once, got it ${value.length} times`, { field: name });
    parameters[name] = value;
  }
  return parameters;
}

/** Reads the filters. Throws 400 with the field. */
export function eventQuery(parameters: Readonly<Record<string, string>>): EventQuery {
  const { type, minSeverity, node, component, lane } = parameters;
  if (type !== undefined && !/^[A-Za-z0-9_.*-]{1,128}$/.test(type))
    throw bad('type', 'type must be an event type with * for any characters, 128 characters at most, got', type);
  if (minSeverity !== undefined && !SEVERITIES.includes(minSeverity as Severity))
    throw bad('minSeverity', `minSeverity must be one of ${SEVERITIES.join(', ')}, got`, minSeverity);
  if (lane !== undefined && !LANES.includes(lane as Lane)) throw bad('lane', `lane must be one of ${LANES.join(', ')}, got`, lane);
  const lowest = minSeverity === undefined ? 0 : SEVERITY_NUMBER[minSeverity as Severity];
  const [since, until] = [timeOf(parameters, 'since'), timeOf(parameters, 'until')];
  if (since !== undefined && until !== undefined && since > until)
    throw bad('since', `since must not be after until, which is ${parameters.until}, got`, parameters.since!);
  return {
    wants: (event) =>
      SEVERITY_NUMBER[event.severity] >= lowest &&
      (type === undefined || matchesGlob(type, event.type)) &&
      (node === undefined || event.source.node === node) &&
      (component === undefined || event.source.component === component),
    lanes: lane === undefined ? LANES : [lane as Lane],
    ...(since !== undefined && { since }),
    ...(until !== undefined && { until }),
  };
}

/** An integer parameter from 1 to `max`. Throws 400. */
export function numberOf(
  parameters: Readonly<Record<string, string>>,
  name: string,
  { max, fallback }: { max: number; fallback: number },
): number {
  const text = parameters[name];
  if (text === undefined) return fallback;
  const value = Number(text);
  if (/^\d{1,15}$/.test(text) && value >= 1 && value <= max) return value;
  throw bad(name, `${name} must be an integer from 1 to ${max}, got`, text);
}

/** A place as text: `u12.n345`, the urgent lane's position and the normal one's. Whoever gets one is to take it as it is. */
export function formatPlace({ urgent, normal }: Place): string {
  return `u${urgent}.n${normal}`;
}

/** Reads a place; `name` says where it was given. Throws 400. */
export function parsePlace(text: string, name: string): Place {
  const [, urgent = '', normal = ''] = /^u(\d{1,15})\.n(\d{1,15})$/.exec(text) ?? [];
  const place = { urgent: Number(urgent), normal: Number(normal) };
  if (place.urgent >= 1 && place.normal >= 1) return place;
  throw bad(name, `${name} must be a cursor such as u12.n345, as it was given, got`, text);
}

function timeOf(parameters: Readonly<Record<string, string>>, name: string): number | undefined {
  const text = parameters[name];
  if (text === undefined) return undefined;
  const time = parseTime(text);
  if (time) return time.seconds * 1000 + Math.ceil(time.nanos / 1_000_000);
  throw bad(name, `${name} must be RFC 3339 such as 2026-11-22T08:00:00Z, got`, text);
}

function bad(field: string, expected: string, got: string): HttpError {
  return new HttpError(400, `${expected} ${JSON.stringify(got.length > 60 ? `${got.slice(0, 60)}…` : got)}`, { field });
}
