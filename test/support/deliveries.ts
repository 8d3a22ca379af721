import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { nastyLines as ownNastyLines } from '../../testing/contract/lines.ts';

export { deliveries, eventOf, SERIES, type DeliverOptions } from '../../testing/deliveries.ts';
export { largeLine, plainLines } from '../../testing/contract/lines.ts';

/** Text, times and keys that break things: shared/data/nasty.ndjson, where it is there; else the set of the contract of writers. */
export function nastyLines(): string[] {
  return sharedNastyLines() ?? ownNastyLines();
}

/** shared/data/nasty.ndjson; undefined where it is not there. */
export function sharedNastyLines(): string[] | undefined {
  const file = fileURLToPath(new URL('../../../shared/data/nasty.ndjson', import.meta.url));
  if (!existsSync(file)) return undefined;
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
}
