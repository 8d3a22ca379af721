import type { Delivery } from '../core/writer.ts';

/** Writers share events, and a repeat must have the same bytes: who changes one gets a TypeError. */
export function freezeDelivery({ event, delivery, entry }: Delivery): void {
  Object.freeze(delivery);
  Object.freeze(entry);
  if (Object.isFrozen(event)) return;
  for (const part of [event.source, event.labels, event.object, event.via, event.foreign, event]) Object.freeze(part);
  // Without recursion: 32 KiB of brackets are deeper than the stack.
  const left: unknown[] = [event.attributes];
  for (let value = left.pop(); value !== undefined; value = left.pop()) {
    if (typeof value !== 'object' || value === null) continue;
    for (const member of Object.values(value)) left.push(member);
    Object.freeze(value);
  }
}
