/** An event as its row's payload tells it, for the contract of writers. */
import { findMember } from '../../core/json-text.ts';
import type { Received } from '../contract/writer-contract.ts';

export function receivedOf(payload: string): Received {
  const event = JSON.parse(payload) as Omit<Received, 'attributesText' | 'seq'> & { readonly delivery: { readonly seq: number } };
  const { id, type, severity, time, message, source, object, labels, delivery } = event;
  const optional = { ...(object !== undefined && { object }), ...(labels !== undefined && { labels }) };
  return { id, type, severity, time, message, source, ...optional, attributesText: findMember(payload, 'attributes'), seq: delivery.seq };
}
