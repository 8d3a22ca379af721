/** What becomes of an event that another proxy forwards: it is stored as it is, unless it has been here before or cannot be told from ours. */
import { decodeEvent } from '../../core/event-codec.ts';
import { readEnvelope, type Hop } from '../../core/event-envelope.ts';
import { EventWalk } from '../../core/event-walk.ts';
import { typeOf } from '../../core/complete-event.ts';
import type { Draft } from '../../core/journal.ts';
import { OWN_TYPES, type OwnEvent } from '../own-events.ts';
import type { Sites } from '../sites.ts';

/** Forwarders whose loops were told in this life; more are not told. */
const TOLD_MAX = 1000;

/** `hasBeenHere`: this journal has had the event, so it is taken for stored. */
export type ForwardedFate = { readonly reason: string } | { readonly hasBeenHere: boolean };

export interface ForwardedParts extends Hop {
  readonly sites: Sites;
  readonly report: (draft: Draft, event: OwnEvent) => void;
}

export class Forwarded {
  readonly #parts: ForwardedParts;
  readonly #walk = new EventWalk();
  readonly #told = new Set<string>();

  constructor(parts: ForwardedParts) {
    this.#parts = parts;
  }

  /** Judges an event; what it says of its site goes into the commit. */
  look(draft: Draft, bytes: Uint8Array, forwarder: string): ForwardedFate {
    const walk = this.#walk;
    const { site, journal, sites } = this.#parts;
    if (!walk.over(bytes, 0, bytes.length, { isForwarded: true })) return { reason: walk.reason };
    const envelope = readEnvelope(bytes, forwarder);
    if (typeof envelope === 'string') return { reason: envelope };
    if (envelope.journals.includes(journal)) {
      this.#tellLoop(draft, forwarder, envelope);
      return { hasBeenHere: true };
    }
    if (envelope.site === site || envelope.via.includes(site)) {
      const way = [envelope.site, ...envelope.via].join(', ');
      return {
        reason: `site must be another than this proxy's own, got ${JSON.stringify(site)} on the way (${way}): two proxies have one name`,
      };
    }
    if (typeOf(bytes) === OWN_TYPES.heartbeat) this.#beat(draft, bytes, envelope.via);
    else sites.seen(envelope.via);
    return { hasBeenHere: false };
  }

  #beat(draft: Draft, bytes: Uint8Array, via: readonly string[]): void {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const event = decodeEvent(buffer, { id: '', site: '', labels: undefined, receivedTime: '' });
    if (event.source.component === 'fondaco') this.#parts.sites.beat(draft, event, via);
  }

  #tellLoop(draft: Draft, forwarder: string, { site, via }: { site: string; via: readonly string[] }): void {
    if (this.#told.has(forwarder) || this.#told.size >= TOLD_MAX) return;
    this.#told.add(forwarder);
    this.#parts.report(draft, {
      type: OWN_TYPES.forwardingLoop,
      severity: 'warn',
      message: `${forwarder} forwards events that have been here: they are not taken again. Does one of the upstream writers lead back?`,
      attributes: { forwarder, site, via },
    });
  }
}
