/** Events that the proxy itself records. Documented types: what an operator may rely on. */
import { typeOf } from '../core/complete-event.ts';
import { encodeEvent, type DecodedEvent } from '../core/event-codec.ts';
import type { JsonObject } from '../core/event.ts';
import { LIMITS } from '../core/event.ts';
import type { Draft, Entry, NewEntry } from '../core/journal.ts';
import { perLane, type Lane } from '../core/lane.ts';
import { ProtobufWriter } from '../core/protobuf.ts';
import { SEVERITY_NUMBER, type Severity } from '../core/severity.ts';
import { timestampOf } from '../core/time.ts';
import { uuidV7Bytes } from '../core/uuid.ts';

export const OWN_TYPES = {
  /**
   * Something is missing: attributes `losses` says where, which range, how many, why. Goes to every writer, past its filter; with `writer` to
   * this one alone, which gave up earlier notices of it.
   */
  loss: 'fondaco.Loss',
  /** To the writer that is back after more than a minute: how long it was away, and what waits. Attributes: KeptOutage in feed/outage-rows.ts. */
  outage: 'fondaco.Outage',
  /** A destination refuses us, or there is no room for another dead letter; everything is kept. Attributes: writer, status, answer. */
  writerRefused: 'fondaco.WriterRefused',
  /** It takes events again: the first were delivered after a refusal, or after someone resumed it. Attributes: writer. */
  writerResumed: 'fondaco.WriterResumed',
  /** A retry policy came to its end; someone has to resume the writer. */
  writerSuspended: 'fondaco.WriterSuspended',
  /** The store was damaged, and was put right as far as it could be. Attributes: what, a list in words. */
  storeMended: 'fondaco.StoreMended',
  /** Someone paused the writer. Attributes: writer. */
  writerPaused: 'fondaco.WriterPaused',
  /** How a proxy is, for the one above: attributes are Heartbeat in sites.ts. To upstream writers, and those whose filter names the type. */
  heartbeat: 'fondaco.Heartbeat',
  /** A site below has missed three heartbeats. Attributes: site, lastHeartbeat, silentMs. */
  siteSilent: 'fondaco.SiteSilent',
  /** It is back. Attributes: site, silentSince, silentMs. */
  siteBack: 'fondaco.SiteBack',
  /** Events that were forwarded come back: they are not taken again. Attributes: forwarder, site, via. */
  forwardingLoop: 'fondaco.ForwardingLoop',
} as const;

const PREFIX = Buffer.from('fondaco.');
const OWN: ReadonlySet<string> = new Set(Object.values(OWN_TYPES));

/** Why an agent may not record an event of this type; undefined where it may. Agents of ours record others that begin like these. */
export function ownTypeProblem(bytes: Uint8Array): string | undefined {
  // The type is the first field, behind its tag and its length: most are told by one byte.
  if (bytes[2] !== PREFIX[0] || PREFIX.compare(bytes, 2, 2 + PREFIX.length) !== 0) return undefined;
  const type = typeOf(bytes);
  return OWN.has(type) ? `type must be another than those that proxies record, got ${type}` : undefined;
}

/** An event of the proxy itself. */
export interface OwnEvent {
  readonly type: string;
  readonly severity: Severity;
  readonly message: string;
  readonly attributes: JsonObject;
}

/** The series of the proxy's own entries, one for each lane, fresh at each opening. */
export class OwnSeries {
  readonly #node: string;
  readonly #lanes: Record<Lane, { series: Buffer; seq: number }>;
  readonly #writer = new ProtobufWriter();
  readonly #entry: NewEntry;

  constructor(node: string, now: number) {
    this.#node = node;
    this.#lanes = perLane(() => ({ series: uuidV7Bytes(now), seq: 0 }));
    this.#entry = { series: this.#lanes.normal.series, seq: 0, kind: 'made', first: 0, bytes: this.#writer.buffer, start: 0, end: 0 };
  }

  /** Appends one of the proxy's own events to a lane. */
  record(draft: Draft, lane: Lane, event: OwnEvent, now: number): void {
    this.#writer.reset();
    encodeEvent(this.#writer, {
      type: event.type,
      severity: SEVERITY_NUMBER[event.severity],
      node: this.#node,
      component: 'fondaco',
      object: undefined,
      message: cutText(event.message, LIMITS.messageBytes),
      attributes: JSON.stringify(event.attributes),
      time: timestampOf(now),
      dedupKey: '',
      traceparent: '',
    });
    this.append(draft, lane, this.#writer.view());
  }

  /** Appends an entry made of the given bytes. */
  append(draft: Draft, lane: Lane, bytes: Uint8Array): void {
    const own = this.#lanes[lane];
    const entry = this.#entry;
    entry.series = own.series;
    entry.seq = ++own.seq;
    entry.bytes = bytes;
    entry.start = 0;
    entry.end = bytes.length;
    draft.append(lane, entry);
  }
}

/** True for what tells a writer of its losses: a loss notice of this proxy, or the end of an outage. */
export function isTelling({ type, summarizes }: Pick<DecodedEvent, 'type' | 'summarizes'>, { kind }: Pick<Entry, 'kind'>): boolean {
  return kind === 'made' && summarizes === undefined && (type === OWN_TYPES.loss || type === OWN_TYPES.outage);
}

/** True for a heartbeat of this proxy, or of one further down. */
export function isHeartbeat({ type, source, via }: Pick<DecodedEvent, 'type' | 'source' | 'via'>, { kind }: Pick<Entry, 'kind'>): boolean {
  return type === OWN_TYPES.heartbeat && source.component === 'fondaco' && (kind === 'made' || via !== undefined);
}

/** Of what tells a writer of its losses: the one that it is for; undefined where it is for all. */
export function addresseeOf({ attributesText }: DecodedEvent): string | undefined {
  return /^\{"writer":"([a-z0-9-]+)"/.exec(attributesText)?.[1];
}

/** True for what a proxy says itself, this one or one further down; summaries of agents' events are theirs. */
export function isOwn({ type, source }: Pick<DecodedEvent, 'type' | 'source'>): boolean {
  return source.component === 'fondaco' && OWN.has(type);
}

/** Our own texts are short; a destination's answer in them may not be. */
function cutText(text: string, bytesMax: number): string {
  return Buffer.byteLength(text) <= bytesMax ? text : `${text.slice(0, Math.floor(bytesMax / 4))}…`;
}
