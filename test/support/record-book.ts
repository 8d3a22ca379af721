/** What a subscriber was sent, held against the promises: its own record, and nothing that the sender says of itself. */
import type { FondacoEvent } from '../../core/event.ts';
import type { DeliveryNumber } from '../../core/writer.ts';
import { fromNative } from './received.ts';
import { arrayMembers } from './received.ts';

export type Delivered = FondacoEvent & { readonly delivery: DeliveryNumber };

export class RecordBook {
  /** Every delivery that was answered 2xx, in order, repeats included. */
  readonly deliveries: Delivered[] = [];
  /** The same event's text, as it came. */
  readonly texts: string[] = [];

  /** Takes a batch in native JSON. */
  add(body: Buffer): void {
    for (const text of arrayMembers(body.toString())) {
      this.texts.push(text);
      this.deliveries.push(JSON.parse(text) as Delivered);
    }
  }

  /** Deliveries of agents' events, without repeats, without Fondaco's own. */
  get events(): Delivered[] {
    const seen = new Set<string>();
    return this.deliveries.filter(({ id, type }) => !type.startsWith('fondaco.') && !seen.has(id) && seen.add(id));
  }

  /** Fondaco's own events of a type, without repeats. */
  own(type: string): Delivered[] {
    const seen = new Set<string>();
    return this.deliveries.filter((event) => event.type === type && !seen.has(event.id) && seen.add(event.id));
  }

  get added(): number {
    return this.events.reduce((sum, { added }) => sum + added, 0);
  }

  /** Attributes text of each event, by id. */
  get attributes(): Map<string, string> {
    return new Map(this.texts.map((text) => [fromNative(text).id, fromNative(text).attributesText]));
  }

  /**
   * What breaks a promise: an event out of its series' order within its lane, a delivery seq that is missing or out of order, a repeat that
   * differs from what it repeats. `isRepeatFree`: a repeat, too. Empty if all is well.
   */
  problems({ isRepeatFree = false } = {}): string[] {
    const problems: string[] = [];
    const lastOfSeries = new Map<string, number>();
    const lastDelivery = new Map<string, number>();
    const textById = new Map<string, string>();
    for (const [i, { id, delivery, revision }] of this.deliveries.entries()) {
      const text = this.texts[i]!;
      const before = textById.get(id);
      if (before !== undefined) {
        if (before !== text) problems.push(`${id} came again, but differs: ${before} | ${text}`);
        if (isRepeatFree) problems.push(`${id} came twice`);
        continue;
      }
      textById.set(id, text);
      const dash = id.lastIndexOf('-');
      if (revision === 0) {
        const series = `${delivery.lane} ${id.slice(0, dash)}`;
        const seq = Number(id.slice(dash + 1));
        if (seq <= (lastOfSeries.get(series) ?? 0)) problems.push(`${id} came after ${lastOfSeries.get(series)} of its series`);
        lastOfSeries.set(series, seq);
      }
      const feed = `${delivery.lane} ${delivery.series}`;
      const expected = (lastDelivery.get(feed) ?? 0) + 1;
      if (delivery.seq !== expected) problems.push(`delivery ${feed} must go on with ${expected}, got ${delivery.seq}`);
      lastDelivery.set(feed, delivery.seq);
    }
    return problems;
  }
}
