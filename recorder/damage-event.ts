import type { EventFields } from '../core/event-input.ts';
import { LANES } from '../core/lane.ts';
import { SEVERITY_NUMBER } from '../core/severity.ts';
import { timestampOf } from '../core/time.ts';
import type { SpoolDamage } from './adoption.ts';

/**
 * The one event that a recorder makes by itself: a spool that an earlier life left was damaged. Attributes: life; lanes, with series and the
 * last seq that is known of; found, in words. Holes below that seq are declared lost beside it, with their exact ranges.
 */
export const SPOOL_DAMAGED = 'fondaco.SpoolDamaged';

const FOUND_CHARS = 500;

export function damageEvent(damage: SpoolDamage, source: { readonly node: string; readonly component: string }, now: number): EventFields {
  const { life, lanes, found } = damage;
  const ends = LANES.map((lane) => `${lanes[lane].series}-${lanes[lane].last} (${lane})`).join(' and ');
  return {
    type: SPOOL_DAMAGED,
    severity: SEVERITY_NUMBER.error,
    ...source,
    object: { kind: 'Spool', name: life },
    message: `a spool was damaged: what is missing up to ${ends} is declared lost; what was behind, if anything, is lost and cannot be counted`,
    attributes: JSON.stringify({ life, lanes, found: found.map((text) => text.slice(0, FOUND_CHARS)) }),
    time: timestampOf(now),
    dedupKey: '',
    traceparent: '',
  };
}
