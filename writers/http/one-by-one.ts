import { FondacoError, isFondacoError } from '../../core/errors.ts';
import type { Delivery } from '../../core/writer.ts';

/** Series of which something is remembered: one for each lane, and a replay's. */
const SERIES_MAX = 8;

/** The first that failed, and the longest pause that any that failed asked for. */
interface Failed {
  readonly at: number;
  readonly error: unknown;
  readonly retryAfterMs: number;
}

/**
 * Sends the events of a batch one by one, several side by side: those of one object one after the other, in their order, and none of them
 * after one that failed. Events without an object are kept in order by their source.
 *
 * When one fails, nothing behind it is begun, and what stands before it is sent to its end: so it is known that all before the first one that
 * failed was taken, which is what the error says (`taken`). What was taken behind it is remembered while this lives, and is not sent again.
 */
export class OneByOne {
  readonly #concurrency: number;
  /** By delivery series: the seqs that were taken behind a failure, with their entries. */
  readonly #ahead = new Map<string, Map<number, string>>();

  constructor(concurrency: number) {
    this.#concurrency = concurrency;
  }

  /** Resolves when all are taken. Rejects with what `send` rejected with for the first that was not, and the number of those before it. */
  async write(batch: readonly Delivery[], send: (delivery: Delivery) => Promise<void>): Promise<void> {
    const { series, seq: firstSeq } = batch[0]!.delivery;
    const ahead = this.#aheadOf(series, firstSeq);
    const taken = batch.map(({ delivery, entry }) => ahead.get(delivery.seq) === entryKey(entry));
    const failed = await this.#sendAll(batch, taken, send);
    for (const [i, { delivery, entry }] of batch.entries()) {
      if (i < (failed?.at ?? batch.length) || !taken[i]) ahead.delete(delivery.seq);
      else ahead.set(delivery.seq, entryKey(entry));
    }
    if (ahead.size === 0) this.#ahead.delete(series);
    if (failed) throw toldWith(failed.error, { taken: failed.at, retryAfterMs: failed.retryAfterMs });
  }

  /** Marks in `taken` what went through. Resolves with the first that failed, all before it being taken. */
  async #sendAll(batch: readonly Delivery[], taken: boolean[], send: (delivery: Delivery) => Promise<void>): Promise<Failed | undefined> {
    const objects = batch.map(objectKey);
    const begun = [...taken];
    const busy = new Set<string>();
    let failed: Failed | undefined;
    const next = (): number => {
      const at = begun.findIndex((isBegun, i) => !isBegun && !busy.has(objects[i]!));
      return at < (failed?.at ?? Infinity) ? at : -1;
    };
    // Who finds nothing to do may end: when an object's turn comes, the one who had it goes on.
    const work = async (): Promise<void> => {
      for (let at = next(); at >= 0; at = next()) {
        const object = objects[at]!;
        begun[at] = true;
        busy.add(object);
        try {
          await send(batch[at]!);
          taken[at] = true;
        } catch (error) {
          const retryAfterMs = Math.max(failed?.retryAfterMs ?? 0, isFondacoError(error) ? (error.facts.retryAfterMs ?? 0) : 0);
          failed = at < (failed?.at ?? Infinity) ? { at, error, retryAfterMs } : { ...failed!, retryAfterMs };
        }
        busy.delete(object);
      }
    };
    await Promise.all(Array.from({ length: Math.min(this.#concurrency, batch.length) }, work));
    return failed;
  }

  /** What is remembered of a series, as far as it still matters. */
  #aheadOf(series: string, firstSeq: number): Map<number, string> {
    const ahead = this.#ahead.get(series) ?? new Map<number, string>();
    for (const seq of ahead.keys()) if (seq < firstSeq) ahead.delete(seq);
    this.#ahead.delete(series);
    this.#ahead.set(series, ahead);
    const [oldest] = this.#ahead.keys();
    if (this.#ahead.size > SERIES_MAX) this.#ahead.delete(oldest!);
    return ahead;
  }
}

/** Whose order is to be kept. */
function objectKey({ event: { object, source } }: Delivery): string {
  if (!object) return JSON.stringify([source.site, source.node, source.component]);
  const { kind, namespace, tenant, name, uri } = object;
  return JSON.stringify([source.site, kind, namespace, tenant, name, uri]);
}

function entryKey({ birth, position }: Delivery['entry']): string {
  return `${birth}/${position}`;
}

function toldWith(error: unknown, { taken, retryAfterMs }: { taken: number; retryAfterMs: number }): unknown {
  if (!isFondacoError(error)) return error;
  return new FondacoError(error.code, error.text, { ...error.facts, taken, ...(retryAfterMs > 0 && { retryAfterMs }) });
}
