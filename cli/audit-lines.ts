/**
 * One line of a destination's own record: a delivery as our writers make it, or a batch of them as a JSON array. Native JSON names its number
 * in `delivery { writer, lane, series, seq }`; a CloudEvent has `sequence`, and the rest in `data.delivery` (writers/cloudevents.ts).
 */
import { LANES, type Lane } from '../core/lane.ts';
import { listItems } from '../core/json-text.ts';
import type { DeliveryNumber } from '../core/writer.ts';
import type { Loss } from '../dispatcher/ledger/losses.ts';
import { OWN_TYPES } from '../dispatcher/own-events.ts';

/** A delivery of a record. */
export interface RecordedDelivery extends DeliveryNumber {
  /** As it was recorded: what a repeat has to be, too. */
  readonly text: string;
  /** How many events it stands for that no other delivery does. */
  readonly added: number;
  /** Of a loss notice. */
  readonly losses: readonly Loss[];
}

const WRITER = /^[a-z0-9-]{1,63}$/;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const SEQUENCE = /^\d{1,16}$/;
const SHOWN_CHARS = 60;

type Members = Readonly<Record<string, unknown>>;

/** The deliveries of a line, or, in words, why it has none: then nothing of the line counts. */
export function deliveriesOf(text: string): readonly RecordedDelivery[] | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return `a line must be JSON, got ${shown(text)}`;
  }
  if (!Array.isArray(value)) {
    const delivery = deliveryOf(value, text.trim());
    return typeof delivery === 'string' ? delivery : [delivery];
  }
  const texts = listItems(text);
  const deliveries: RecordedDelivery[] = [];
  for (const [i, item] of value.entries()) {
    const delivery = deliveryOf(item, texts[i] ?? '');
    if (typeof delivery === 'string') return `[${i}]: ${delivery}`;
    deliveries.push(delivery);
  }
  return deliveries;
}

function deliveryOf(value: unknown, text: string): RecordedDelivery | string {
  if (!isObject(value)) return `a delivery must be an object, got ${shown(text)}`;
  const isCloudEvent = 'specversion' in value;
  const content = isCloudEvent ? value.data : value;
  const delivery = isObject(content) ? content.delivery : undefined;
  const where = isCloudEvent ? 'data.delivery' : 'delivery';
  if (!isObject(content) || !isObject(delivery)) return `${where} must say which delivery it is, got ${shown(JSON.stringify(delivery))}`;
  const { writer, lane, series } = delivery;
  if (typeof writer !== 'string' || !WRITER.test(writer)) return wrong(`${where}.writer`, 'the name of a writer', writer);
  if (!LANES.includes(lane as Lane)) return wrong(`${where}.lane`, LANES.join(' or '), lane);
  if (typeof series !== 'string' || !UUID.test(series)) return wrong(`${where}.series`, 'a UUID', series);
  const { sequence } = value;
  const seq = !isCloudEvent ? delivery.seq : typeof sequence === 'string' && SEQUENCE.test(sequence) ? Number(sequence) : undefined;
  if (!isCount(seq) || seq < 1)
    return isCloudEvent ? wrong('sequence', '16 digits', sequence) : wrong('delivery.seq', 'a whole number from 1', delivery.seq);
  const losses = isNotice(value, isCloudEvent) ? lossesOf(content.attributes) : [];
  return { writer, lane: lane as Lane, series, seq, text, added: isCount(content.added) ? content.added : 1, losses };
}

/** Of a proxy: an agent may use the name of the type, under its own component. */
function isNotice({ type, source }: Members, isCloudEvent: boolean): boolean {
  if (type !== OWN_TYPES.loss) return false;
  const component = isCloudEvent ? String(source).split('/').at(-1) : isObject(source) ? source.component : undefined;
  return component === 'fondaco';
}

/** What a proxy of another version says otherwise is left out. */
function lossesOf(attributes: unknown): Loss[] {
  const losses: unknown = isObject(attributes) ? attributes.losses : undefined;
  if (!Array.isArray(losses)) return [];
  return losses.filter(
    (loss): loss is Loss =>
      isObject(loss) &&
      isObject(loss.origin) &&
      typeof loss.origin.id === 'string' &&
      typeof loss.cause === 'string' &&
      isCount(loss.count),
  );
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrong(field: string, expected: string, got: unknown): string {
  return `${field} must be ${expected}, got ${shown(JSON.stringify(got))}`;
}

function shown(text: string | undefined): string {
  if (text === undefined) return 'nothing';
  return text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}…` : text;
}
