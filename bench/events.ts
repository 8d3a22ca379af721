/** The events of the bench: about 280 bytes encoded, all different, as a switch's agent would record them. */
import type { EventDetails } from '../core/event-input.ts';

export const TYPE = 'bench.LinkDown';
export const SEVERITY = 'warn';

export function message(n: number): string {
  return `link eth${n % 48} of switch leaf-${n % 7} went down, carrier lost for the ${n}th time since boot; neighbours will be told`;
}

export function details(n: number): EventDetails {
  return {
    object: { kind: 'Port', name: `eth${n % 48}`, namespace: 'fabric' },
    attributes: { port: n % 48, speed: 100_000, carrierChanges: n },
  };
}
