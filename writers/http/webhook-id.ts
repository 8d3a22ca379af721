import { createHash } from 'node:crypto';
import type { Delivery } from '../../core/writer.ts';

/**
 * The same for every repeat of the same batch, and never for another: positions may be used again after a loss, an epoch's birth never. Where
 * something lies between first and last that is not in the batch (filtered, folded, or a replay of chosen dead letters) a hash says what is:
 * a receiver that knows 3-12 without 7 must not take 3-12 with 7 for it. It has no full stop, which ends it in what is signed (Standard Webhooks,
 * "Signature scheme"), and `_` stands in none of its parts.
 */
export function webhookId(batch: readonly Delivery[]): string {
  const first = batch[0]!;
  const last = batch[batch.length - 1]!;
  const { writer, lane } = first.delivery;
  const lastBirth = last.entry.birth === first.entry.birth ? '' : `${last.entry.birth}_`;
  const id = `${writer}_${lane}_${first.entry.birth}_${first.entry.position}-${lastBirth}${last.entry.position}`;
  if (lastBirth === '' && last.entry.position - first.entry.position === batch.length - 1) return id;
  const hash = createHash('sha256');
  for (const { entry } of batch) hash.update(`${entry.birth}/${entry.position} `);
  return `${id}_${hash.digest('hex').slice(0, 16)}`;
}
