import type { Severity } from './severity.ts';

/** What JSON calls an object: an event's attributes. */
export type JsonObject = Record<string, unknown>;

/** What an event is about, below its source: at most 256 bytes a field. */
export interface EventObject {
  readonly kind?: string;
  readonly name?: string;
  readonly namespace?: string;
  readonly tenant?: string;
  readonly uri?: string;
}

/** Where an event comes from: at most 256 bytes a field. The site is stamped by the first proxy. */
export interface EventSource {
  readonly site?: string;
  readonly node: string;
  readonly component: string;
}

/** Something that happened, recorded once, never changed. The shape that destinations get. */
export interface FondacoEvent {
  /** `<series>-<seq>`, made where the event was first recorded; a summary's is `<id of the first>.<revision>`. */
  readonly id: string;
  readonly type: string;
  readonly severity: Severity;
  /** When it happened, by the source's clock: RFC 3339, UTC, up to nanoseconds. Shown, never used for order. */
  readonly time: string;
  readonly message: string;
  readonly source: EventSource;
  readonly labels?: Readonly<Record<string, string>>;
  readonly object?: EventObject;
  readonly attributes: JsonObject;
  /** The first proxy's clock. */
  readonly receivedTime: string;
  /** 0 for the first occurrence; 1, 2, 3 … for the summaries of its window. */
  readonly revision: number;
  /** Occurrences of the window so far, this one included. */
  readonly count: number;
  /** Occurrences that no earlier revision reported. The sum over all revisions is the number of accepted events. */
  readonly added: number;
  readonly firstTime: string;
  readonly lastTime: string;
  /** The id of the first occurrence, from revision 1 on. */
  readonly summarizes?: string;
  readonly traceparent?: string;
  /** Sites that forwarded it, the first proxy's first. */
  readonly via?: readonly string[];
  /** What a foreign producer called it (CloudEvents source and id). */
  readonly foreign?: { readonly source: string; readonly id: string };
}

/** Limits of one event, in bytes of UTF-8 where they say so. Over a limit it is rejected with the reason, never cut. */
export const LIMITS = {
  typeChars: 128,
  messageBytes: 8 * 1024,
  nameBytes: 256,
  attributesBytes: 32 * 1024,
  /** Objects and arrays in each other; readers of JSON have limits from 64 on, and an event comes in some layers more. */
  attributesDepth: 32,
  traceparentBytes: 256,
  eventBytes: 64 * 1024,
  /** What proxies add to it on its way: id, site, labels, times, counts, via. */
  envelopeBytes: 64 * 1024,
  /** Proxies that may forward an event, one after the other. */
  hops: 32,
} as const;

/** What an event type looks like. */
export const EVENT_TYPE = /^[A-Za-z][A-Za-z0-9_.-]{0,127}$/;

/** Fields of `EventObject`, in the order of their proto numbers (1 to 5). */
export const OBJECT_FIELDS = ['kind', 'name', 'namespace', 'tenant', 'uri'] as const;
