/**
 * What syslog itself has no place for, as parameters of structured data. Left out is what can be told from the rest: a revision of 0, counts of 1,
 * first and last times that are the event's, attributes that are none. `attributes`, `labels` and `via` are JSON text.
 */
import type { DecodedEvent } from '../../core/event-codec.ts';
import { OBJECT_FIELDS } from '../../core/event.ts';
import type { Delivery } from '../../core/writer.ts';
import type { Param } from './structured-data.ts';

/** Raw values, in the order in which they are written. `hasWholeTime`: the header holds the time with all its digits. */
export function eventParams({ event, delivery }: Delivery, hasWholeTime: boolean): Param[] {
  const { source, revision, count, added, firstTime, lastTime, summarizes, traceparent, foreign } = event;
  const isCounted = revision !== 0 || count !== 1 || added !== 1;
  const params: (Param | false)[] = [
    ['id', event.id],
    ['type', event.type],
    !hasWholeTime && ['time', event.time],
    optional('site', source.site),
    optional('node', source.node),
    optional('component', source.component),
    ...objectParams(event),
    ['receivedTime', event.receivedTime],
    isCounted && ['revision', String(revision)],
    isCounted && ['count', String(count)],
    isCounted && ['added', String(added)],
    firstTime !== event.time && ['firstTime', firstTime],
    lastTime !== event.time && ['lastTime', lastTime],
    optional('summarizes', summarizes),
    optional('traceparent', traceparent),
    event.via !== undefined && ['via', JSON.stringify(event.via)],
    foreign !== undefined && ['foreignSource', foreign.source],
    foreign !== undefined && ['foreignId', foreign.id],
    ['writer', delivery.writer],
    ['lane', delivery.lane],
    ['series', delivery.series],
    ['seq', String(delivery.seq)],
    event.labels !== undefined && ['labels', JSON.stringify(event.labels)],
    event.attributesText !== '{}' && ['attributes', event.attributesText],
  ];
  return params.filter((param) => param !== false);
}

/** What gives way first when a message is too large; `message` is its text. What is not here names the event and its delivery, and stays. */
export const CUT_ORDER: readonly string[] = [
  'attributes',
  'labels',
  'message',
  'objectUri',
  'foreignSource',
  'foreignId',
  'via',
  'traceparent',
  'objectTenant',
  'objectNamespace',
  'objectName',
  'objectKind',
  'component',
  'node',
  'site',
  'firstTime',
  'lastTime',
  'summarizes',
  'receivedTime',
  'writer',
];

function optional(name: string, value: string | undefined): Param | false {
  return value !== undefined && value !== '' && [name, value];
}

/** An object without any field is told from none by an empty kind. */
function objectParams({ object }: Readonly<DecodedEvent>): Param[] {
  if (!object) return [];
  const params = OBJECT_FIELDS.map((name): Param => [objectParam(name), object[name] ?? '']).filter(([, value]) => value !== '');
  return params.length > 0 ? params : [['objectKind', '']];
}

/** `objectKind` … */
export function objectParam(name: (typeof OBJECT_FIELDS)[number]): string {
  return `object${name.charAt(0).toUpperCase()}${name.slice(1)}`;
}
