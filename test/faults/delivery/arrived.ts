/** One event as it came to a destination, in the words of the judge, whatever the format. */
import type { Lane } from '../../../core/lane.ts';
import type { SyslogEvent } from '../../support/from-syslog.ts';
import type { LogRecord } from '../../support/from-otlp.ts';

export interface Arrived {
  readonly id: string;
  readonly type: string;
  readonly message: string;
  readonly lane: Lane;
  /** The delivery's; undefined where a destination does not keep them. */
  readonly series?: string;
  readonly seq?: number;
  readonly added?: number;
  /** Among which events the order is promised; the lane's unless told. */
  readonly order?: string;
  /** All of it: what has to be equal when it comes again. */
  readonly text: string;
}

interface Told {
  readonly id: string;
  readonly type: string;
  readonly message: string;
  readonly added: number;
  readonly object?: { readonly name?: string };
  readonly delivery: { readonly lane: Lane; readonly series: string; readonly seq: number };
}

interface CloudEvent {
  readonly specversion: string;
  readonly id: string;
  readonly type: string;
  readonly sequence: string;
  readonly data: Omit<Told, 'id' | 'type'>;
}

/** An event in native JSON. */
export function arrivedNative(text: string): Arrived {
  const { id, type, message, added, delivery } = JSON.parse(text) as Told;
  return { id, type, message, added, ...placed(delivery), text };
}

/** An event in CloudEvents' JSON. `isByObject`: the order is promised for each object. */
export function arrivedCloud(text: string, isByObject: boolean): Arrived {
  const { id, type, sequence, data } = JSON.parse(text) as CloudEvent;
  const { message, added, delivery, object } = data;
  const order = isByObject ? { order: `${delivery.lane} ${object?.name}` } : {};
  return { id, type, message, added, ...placed({ ...delivery, seq: Number(sequence) }), ...order, text };
}

export function arrivedSyslog(event: SyslogEvent): Arrived {
  const { id, type, message, added } = event;
  return { id, type, message, added, ...placed({ ...event, lane: event.lane as Lane }), text: JSON.stringify(event) };
}

export function arrivedOtlp(record: LogRecord): Arrived {
  const values = new Map(record.attributes?.map(({ key, value }) => [key, value]));
  const text = (key: string): string => values.get(key)?.stringValue ?? '';
  const number = (key: string, fallback: number): number => Number(values.get(key)?.intValue ?? fallback);
  return {
    id: text('log.record.uid'),
    type: record.eventName ?? '',
    message: record.body?.stringValue ?? '',
    added: number('fondaco.added', 1),
    ...placed({
      lane: text('fondaco.delivery.lane') as Lane,
      series: text('fondaco.delivery.series'),
      seq: number('fondaco.delivery.seq', NaN),
    }),
    text: JSON.stringify(record),
  };
}

function placed({ lane, series, seq }: Told['delivery']): Told['delivery'] {
  return { lane, series, seq };
}
