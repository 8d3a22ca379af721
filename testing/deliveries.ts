/** Deliveries as a feed makes them, for tests of writers. */
import { decodeEvent, encodeEvent, type DecodedEvent } from '../core/event-codec.ts';
import { parseEvent, type EventDetails } from '../core/event-input.ts';
import type { Lane } from '../core/lane.ts';
import { ProtobufWriter } from '../core/protobuf.ts';
import type { Severity } from '../core/severity.ts';
import type { Delivery } from '../core/writer.ts';

/** The series in which the events were recorded, and those of the deliveries. */
export const SERIES = '0199e0c4-7b1e-7000-8000-000000000001';
const DELIVERY_SERIES = { normal: SERIES.replace(/1$/, '9'), urgent: SERIES.replace(/1$/, '8') };
const RECEIVED = '2026-11-22T08:00:01.500Z';
/** Of the epoch of all entries, ms. */
const BIRTH = 1_795_000_000_000;

/** An event as `recorder.event` takes it: `{ type, severity, message, … }`. */
export interface EventInput extends EventDetails {
  readonly type: string;
  readonly severity: Severity;
  readonly message: string;
}

/** Where deliveries stand. */
export interface DeliverOptions {
  /** The writer's name; `ops`. */
  readonly writer?: string;
  /** `normal`. */
  readonly lane?: Lane;
  /** When the entries' epoch began, ms. */
  readonly birth?: number;
  /** The first one's position and seq; 1. */
  readonly first?: number;
}

/** An event as a writer gets it, made of its input form (one line of NDJSON) by the way that the real ones take. */
export function eventOf(text: string, seq = 1, labels?: Readonly<Record<string, string>>): DecodedEvent {
  const writer = new ProtobufWriter();
  encodeEvent(writer, parseEvent(text, { node: 'n1', component: 'test' }, 0));
  return decodeEvent(Buffer.from(writer.view()), { id: `${SERIES}-${seq}`, site: 'plant-7', labels, receivedTime: RECEIVED });
}

/** Events as deliveries of one writer, positions and seqs in step from `first` on. */
export function deliveries(events: readonly Readonly<DecodedEvent>[], options: DeliverOptions = {}): Delivery[] {
  const { writer = 'ops', lane = 'normal', birth = BIRTH, first = 1 } = options;
  return events.map((event, i) => ({
    event,
    delivery: { writer, lane, series: DELIVERY_SERIES[lane], seq: first + i },
    entry: { epoch: 1, birth, position: first + i },
  }));
}

/**
 * A batch for `write`, made of events as `recorder.event` takes them; their ids go up with their positions. Throws REJECTED for what a recorder
 * would refuse.
 */
export function deliveriesOf(events: readonly EventInput[], options: DeliverOptions = {}): Delivery[] {
  const { first = 1 } = options;
  return deliveries(
    events.map((event, i) => eventOf(JSON.stringify(event), first + i)),
    options,
  );
}
