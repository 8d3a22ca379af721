/** An event as its row's payload tells it, for the contract of writers. */
import { findMember } from '../../core/json-text.ts';
import type { Delivery, Writer } from '../../core/writer.ts';
import type { Destination, Received } from '../contract/writer-contract.ts';

export function receivedOf(payload: string): Received {
  const event = JSON.parse(payload) as Omit<Received, 'attributesText' | 'seq'> & { readonly delivery: { readonly seq: number } };
  const { id, type, severity, time, message, source, object, labels, delivery } = event;
  const optional = { ...(object !== undefined && { object }), ...(labels !== undefined && { labels }) };
  return { id, type, severity, time, message, source, ...optional, attributesText: findMember(payload, 'attributes'), seq: delivery.seq };
}

export interface SqlDestinationOptions {
  readonly writer: Writer;
  /** Payloads in the order of their ids; those of some events only where ids are given. */
  readonly payloads: (ids?: readonly string[]) => Promise<readonly string[]>;
  hang(): void | Promise<void>;
  close(): Promise<void>;
}

/** A table looks at itself after each write: the contract asks at once. */
export function sqlDestination({ writer, payloads, hang, close }: SqlDestinationOptions): Destination {
  let rows: readonly string[] = [];
  const written: Buffer[] = [];
  return {
    writer: {
      write: async (batch: readonly Delivery[], signal) => {
        await writer.write(batch, signal);
        rows = await payloads();
        written.push(Buffer.from((await payloads(batch.map(({ event }) => event.id))).join('\n')));
      },
      close: async () => writer.close?.(),
    },
    payloads: () => written,
    received: () => rows.map(receivedOf),
    hang: () => void hang(),
    close,
  };
}
