/** The contract of writers (testing/writer-contract.ts) in mocha, for writers of this repository. */
import { assert } from 'chai';
import { isFondacoError, type FondacoError } from '../../core/errors.ts';
import type { Writer } from '../../core/writer.ts';
import type { Received as Any } from '../../testing/contract/received.ts';
import { writerContract as casesOf, type WriterContractOptions } from '../../testing/writer-contract.ts';
import { sharedNastyLines } from '../support/deliveries.ts';

export type { WriterContractOptions };

/** What our own formats say of an event: all of it. */
export type Received = Omit<Required<Any>, 'object' | 'labels' | 'attributes' | 'source'> & {
  readonly object?: unknown;
  readonly labels?: unknown;
  readonly source: { readonly site: string; readonly node: string; readonly component: string };
};

/** A busy machine's disk may take seconds for a commit. */
const WITHIN_MS = 60_000;

/** Run once for each kind and format, against the real thing. Beside the contract, no error is without a code. */
export function writerContract<D>(name: string, options: WriterContractOptions<D>): void {
  describe(`writer contract: ${name}`, () => {
    let uncoded: unknown[] = [];
    const openWriter = async (destination: D): Promise<Writer> =>
      watched(await options.openWriter(destination), (error) => uncoded.push(error));
    for (const { name: title, skip, run } of casesOf({ withinMs: WITHIN_MS, ...options, openWriter, lines: sharedNastyLines() ?? [] })) {
      (skip === false ? it : it.skip)(title, async () => {
        uncoded = [];
        await run();
        assert.deepEqual(uncoded, [], 'every error of a writer of ours has a code');
      });
    }
  });
}

function watched(writer: Writer, onUncoded: (error: unknown) => void): Writer {
  const write = writer.write.bind(writer);
  return Object.assign(writer, {
    write: async (...parameters: Parameters<Writer['write']>): Promise<void> => {
      try {
        await write(...parameters);
      } catch (error) {
        if (!isFondacoError(error)) onUncoded(error);
        throw error;
      }
    },
  });
}

/** What a write rejects with; fails the test if it resolves. */
export async function failure(writing: Promise<void>): Promise<FondacoError> {
  try {
    await writing;
  } catch (error) {
    if (isFondacoError(error)) return error;
    throw error;
  }
  throw new Error('the write must reject, it resolved');
}
