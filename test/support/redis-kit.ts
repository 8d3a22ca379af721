/** What tests of the redis writer share. */
import type { z } from 'zod';
import type { Delivery } from '../../core/writer.ts';
import type { Received } from '../contract/writer-contract.ts';
import { redisSettings } from '../../writers/redis/settings.ts';
import { RedisWriter } from '../../writers/redis/writer.ts';
import { deliveries, eventOf, plainLines, type DeliverOptions } from './deliveries.ts';
import { fromNative } from './received.ts';
import type { StreamEntry } from './redis-server.ts';

export const SITE = 'plant-7';
export const NORMAL = 'fondaco:{plant-7}:normal';
export const URGENT = 'fondaco:{plant-7}:urgent';

export type RedisInput = z.input<typeof redisSettings>;

export async function openRedis(settings: RedisInput, directory?: string): Promise<RedisWriter> {
  return RedisWriter.open(redisSettings.parse(settings), { site: SITE, ...(directory === undefined ? {} : { directory }) });
}

/** What an entry says of its event. */
export function receivedOf({ fields }: StreamEntry): Received {
  return fromNative(fields.event ?? '');
}

/** Of the epoch that `numbered` makes entries of, ms. */
export const BIRTH = 1_795_000_000_000;

export interface NumberedOptions extends DeliverOptions {
  readonly series?: string;
  /** Added to the number of each event. */
  readonly ids?: number;
}

/** Deliveries of positions `from` to `to`, whose events bear the same number; one if `to` is not given. */
export function numbered(from: number, to = from, { series, ids = 0, ...options }: NumberedOptions = {}): Delivery[] {
  const events = plainLines(from + ids, to + ids).map((line, i) => eventOf(line, from + ids + i));
  const made = deliveries(events, { first: from, birth: BIRTH, ...options });
  return series === undefined ? made : made.map((each) => ({ ...each, delivery: { ...each.delivery, series } }));
}

/** The id of the event that bears a number. */
export function idOf(number: number): string {
  return eventOf(plainLines(1, 1)[0]!, number).id;
}

/** The numbers that the events of such ids bear. */
export function numbersOf(ids: readonly string[]): number[] {
  return ids.map((id) => Number(id.slice(id.lastIndexOf('-') + 1)));
}

/** Both included. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}
