/** What arrived, held against what was sent. What does not hold is an Error that says what was expected, and what came. */
import { isDeepStrictEqual } from 'node:util';
import type { DecodedEvent } from '../../core/event-codec.ts';
import type { Delivery } from '../../core/writer.ts';

/** An event as the destination has it. Fields that it does not keep are left out, and named by the option `keeps`. */
export interface Received {
  /** `<series>-<seq>`, of a summary with `.<revision>` behind it. */
  readonly id: string;
  readonly type?: string;
  readonly severity?: string;
  readonly time?: string;
  readonly message?: string;
  readonly source?: { readonly site?: string; readonly node: string; readonly component: string };
  /** `undefined` where the event has none; so are labels. */
  readonly object?: unknown;
  readonly labels?: unknown;
  /** What JSON.parse makes of them. */
  readonly attributes?: unknown;
  /** … or, where the destination has it, their text as it was recorded: then this is looked at, so that `-0.0` stays `-0.0`. */
  readonly attributesText?: string;
  /** The number of the delivery. */
  readonly seq?: number;
}

/** A field of `Received` that a destination may keep, beside `id`. */
export type ReceivedField = 'type' | 'severity' | 'time' | 'message' | 'source' | 'object' | 'labels' | 'attributes' | 'seq';

export const RECEIVED_FIELDS: readonly ReceivedField[] = [
  'type',
  'severity',
  'time',
  'message',
  'source',
  'object',
  'labels',
  'attributes',
  'seq',
];

/**
 * What becomes of a batch that comes again: each event is there once; at least once, in order by its first coming; or (no acknowledgement) what
 * is under way when something breaks may be missing, too.
 */
export type Resend = 'once' | 'at-least-once' | 'best-effort';

export interface Expected {
  readonly resend: Resend;
  readonly keeps: readonly ReceivedField[];
  /** What may be there more than once, as it was sent more than once. */
  readonly repeats?: readonly Delivery[];
  /** True where something broke: without acknowledgements some may be missing. */
  readonly isBroken?: boolean;
}

/** Throws where `received` is not what `sent` is, in its order. */
export function assertReceived(received: readonly Received[], sent: readonly Delivery[], expected: Expected): void {
  const mayMiss = expected.isBroken === true && expected.resend === 'best-effort';
  const byId = new Map(sent.map((delivery) => [delivery.event.id, delivery]));
  const mayRepeat = new Set(expected.resend === 'once' ? [] : expected.repeats?.map(({ event }) => event.id));
  const seen = new Set<string>();
  for (const each of received) {
    must(typeof (each as Partial<Received> | null)?.id === 'string', `each event of received must have an id, got ${shown(each)}`);
    const delivery = byId.get(each.id);
    must(delivery !== undefined, `the destination must have what was sent and nothing else, got an event with the id ${shown(each.id)}`);
    must(
      !seen.has(each.id) || mayRepeat.has(each.id),
      `event ${each.id} must be there once${expected.resend === 'once' ? ', also when it comes again' : ', it was sent once'}; got it again`,
    );
    assertSame(each, delivery, expected.keeps);
    seen.add(each.id);
  }
  const ids = sent.map(({ event }) => event.id);
  const missing = ids.filter((id) => !seen.has(id));
  must(
    mayMiss || missing.length === 0,
    `the destination must have all ${sent.length} events, got ${seen.size}; the first that is missing is ${shown(missing[0])}`,
  );
  assertOrder(
    [...seen],
    ids.filter((id) => seen.has(id)),
  );
}

function assertOrder(got: readonly string[], sent: readonly string[]): void {
  const at = sent.findIndex((id, i) => got[i] !== id);
  must(at < 0, `events must be in the order of the batch, got ${shown(got[at])} as number ${at + 1} instead of ${shown(sent[at])}`);
}

function assertSame(received: Received, { event, delivery }: Delivery, keeps: readonly ReceivedField[]): void {
  for (const field of keeps) {
    const got = field === 'attributes' && received.attributesText !== undefined ? received.attributesText : received[field];
    const expected =
      field === 'seq' ? delivery.seq : field === 'attributes' && got === received.attributesText ? textOf(event) : event[field];
    const isSame = isDeepStrictEqual(plain(got), plain(expected));
    must(isSame, `${field} of event ${received.id} must be ${shown(expected, got)}, got ${shown(got, expected)}`);
  }
}

function textOf(event: Readonly<DecodedEvent>): string {
  return event.attributesText;
}

/** Without prototypes and members that are undefined: what a destination gives back may have come by any parser. */
function plain(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? (JSON.parse(JSON.stringify(value)) as unknown) : value;
}

/** Throws an Error with the text where `holds` is false. */
export function must(holds: boolean, text: string): asserts holds {
  if (!holds) throw new Error(text);
}

const SHOWN_CHARS_MAX = 120;

/** For people: as JSON, of what is long the part around the first difference from `other`. */
export function shown(value: unknown, other?: unknown): string {
  const text = textOfValue(value);
  if (text.length <= SHOWN_CHARS_MAX) return text;
  const against = other === undefined ? '' : textOfValue(other);
  let at = 0;
  while (other !== undefined && at < text.length && text[at] === against[at]) at++;
  const from = Math.max(0, at - SHOWN_CHARS_MAX / 2);
  return `${from === 0 ? '' : '…'}${text.slice(from, from + SHOWN_CHARS_MAX)}… (${text.length} characters)`;
}

function textOfValue(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value);
}
