import { FondacoError } from '../core/errors.ts';
import type { Epoch, Stamp } from '../core/journal.ts';
import { perLane } from '../core/lane.ts';
import type { EpochOf } from './blob.ts';

/**
 * Finds the epoch that a blob's head names. Where the row of the epochs is lost, the blobs still know their birth; their stamp is this
 * opening's. What it gives throws CORRUPT for an epoch that cannot be of this store. `epochs`: in order, this opening's last.
 */
export function epochLookup(epochs: readonly Epoch[], stamp: Stamp): EpochOf {
  const byNumber = new Map(epochs.map((each) => [each.number, each]));
  const newest = epochs.at(-1)!.number;
  return (number, birth) => {
    const known = byNumber.get(number);
    if (known?.birth === birth) return known;
    if (known || number > newest)
      throw new FondacoError('CORRUPT', `an entry must be of an epoch of this store, got ${number}, born ${birth}`);
    const epoch = { number, birth, first: perLane(() => 0), stamp };
    byNumber.set(number, epoch);
    return epoch;
  };
}
