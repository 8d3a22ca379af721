import type { Lane } from '../../core/lane.ts';
import type { Severity } from '../../core/severity.ts';
import type { ReceivedEvent } from '../../demo/event-record.ts';

export interface Given {
  readonly id?: string;
  readonly type?: string;
  readonly severity?: Severity;
  readonly message?: string;
  readonly lane?: Lane;
  readonly sequence?: number;
  readonly series?: string;
  readonly object?: ReceivedEvent['data']['object'];
  readonly revision?: number;
  readonly count?: number;
  readonly added?: number;
}

/** An event as a subscriber writes it down. */
export function receivedEvent(given: Given = {}): ReceivedEvent {
  const { id = 's-1', type = 'demo.Reading', severity = 'info', message = 'a message', lane = 'normal', sequence = 1 } = given;
  const { series = `d-${lane}`, object, revision = 0, count = 1, added = 1 } = given;
  return {
    id,
    source: '//plant-7/n2/demo',
    type,
    time: '2026-11-22T08:00:00.123456Z',
    severitytext: severity,
    sequence: String(sequence).padStart(16, '0'),
    data: { message, ...(object && { object }), revision, count, added, delivery: { writer: 'subscriber', lane, series } },
  };
}

/** Events 1 to `count` of a series, delivered in this order. */
export function receivedSeries(count: number, given: Given = {}): ReceivedEvent[] {
  return Array.from({ length: count }, (_, at) => receivedEvent({ ...given, id: `s-${at + 1}`, sequence: at + 1 }));
}
