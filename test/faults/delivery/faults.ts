/** The faults of the table, and what is left out of it, with the reason. */
import { pause } from '../../support/pause.ts';
import type { TcpTap } from '../../support/tcp-tap.ts';
import type { Load } from './load.ts';
import { WRITE_MS, type Place } from './place.ts';

export type FaultName =
  | 'none'
  | 'taken in part'
  | 'reply lost'
  | 'slow'
  | 'black hole'
  | 'poison'
  | 'restart'
  | 'away for a minute'
  | 'kill before settling'
  | 'filter changed in that gap';

interface Injection {
  readonly place: Place;
  readonly load: Load;
  readonly random: () => number;
  /** Figures for the row. */
  readonly measured: Record<string, number>;
}

export interface Fault {
  readonly name: FaultName;
  /** Times that it is done to each place; kills are done once for each place, to all of them. */
  readonly short: number;
  readonly long: number;
  readonly isDedup?: boolean;
  /** The proxy kills itself; its next life has the other filter. */
  readonly kills?: 'same filter' | 'other filter';
  /** Does it to one place, and undoes it. */
  readonly inject?: (parts: Injection) => Promise<void>;
  /** Of all destinations only these. */
  readonly only?: readonly string[];
}

/** How much later each piece comes, and for how long that goes on: much less than a write may take, for what goes to and fro many times. */
const SLOW_MS = 100;
const SLOW_FOR_MS = 1500;
const STILL_MS = WRITE_MS + 1000;
const AWAY_MS = 60_000;

export const FAULTS: readonly Fault[] = [
  { name: 'none', short: 1, long: 1 },
  { name: 'taken in part', short: 2, long: 10, inject: async ({ place, random }) => takenInPart(place, random) },
  {
    name: 'reply lost',
    short: 2,
    long: 10,
    inject: async ({ place }) =>
      passed(
        (cut) => (place.tap!.cutAnswer = cut),
        place.tap!,
        () => 0,
      ),
  },
  { name: 'slow', short: 1, long: 3, isDedup: true, inject: async ({ place }) => slow(place.tap!) },
  { name: 'black hole', short: 1, long: 2, inject: async ({ place }) => (place.tap ? blackHole(place.tap) : place.standStill!()) },
  { name: 'poison', short: 1, long: 1 },
  { name: 'restart', short: 1, long: 5, isDedup: true, inject: async ({ place }) => place.restart!() },
  { name: 'away for a minute', short: 0, long: 1, only: ['postgres'], inject: away },
  { name: 'kill before settling', short: 1, long: 1, kills: 'same filter' },
  { name: 'filter changed in that gap', short: 1, long: 1, kills: 'other filter' },
];

/** A server has the beginning of what was sent, at any byte; or it takes some of a batch and turns the others away. */
async function takenInPart(place: Place, random: () => number): Promise<void> {
  if (place.takeInPart) await place.takeInPart();
  if (place.tap)
    await passed(
      (cut) => (place.tap!.cutRequest = cut),
      place.tap,
      (bytes) => Math.floor(random() * (bytes.length + 1)),
    );
}

/** Resolves when the next piece has been cut. */
async function passed(set: (cut: TcpTap['cutRequest']) => void, tap: TcpTap, cutAt: (bytes: Buffer) => number): Promise<void> {
  const before = tap.sentBytes;
  await new Promise<void>((resolve) => {
    set((bytes) => {
      if (tap.sentBytes === before) return undefined; // not what was on its way already
      set(undefined);
      resolve();
      return cutAt(bytes);
    });
  });
}

async function slow(tap: TcpTap): Promise<void> {
  tap.slowMs = SLOW_MS;
  await pause(SLOW_FOR_MS);
  tap.slowMs = 0;
}

async function blackHole(tap: TcpTap): Promise<void> {
  tap.standStill(true);
  await pause(STILL_MS);
  tap.standStill(false);
}

async function away({ place, load, measured }: Injection): Promise<void> {
  const before = load.count;
  const started = performance.now();
  await place.restart!(AWAY_MS);
  measured['away, s'] = Math.round((performance.now() - started) / 1000);
  measured['recorded meanwhile'] = load.count - before;
}

const NO_WAY = 'it is on the same machine: there is no way and no server that could';
const NO_ANSWER = 'nothing is ever answered';
const LEFT_OUT: readonly { readonly fault: FaultName; readonly places: readonly string[]; readonly because: string }[] = [
  { fault: 'taken in part', places: ['udp'], because: 'a datagram is whole or not there' },
  { fault: 'taken in part', places: ['console'], because: 'a pipe has all that was written to it' },
  { fault: 'taken in part', places: ['sqlite'], because: 'a transaction is whole or not there, and no way leads to it that could break' },
  { fault: 'reply lost', places: ['tcp', 'tls', 'syslog-ng', 'udp'], because: NO_ANSWER },
  { fault: 'reply lost', places: ['file', 'console', 'module', 'sqlite'], because: NO_WAY },
  { fault: 'slow', places: ['udp'], because: NO_ANSWER },
  { fault: 'slow', places: ['file', 'console', 'module', 'sqlite'], because: NO_WAY },
  { fault: 'black hole', places: ['udp'], because: 'that is what it always is' },
  { fault: 'black hole', places: ['file', 'module', 'sqlite'], because: NO_WAY },
  { fault: 'poison', places: ['relp', 'tcp', 'tls', 'syslog-ng', 'udp'], because: 'its servers refuse nothing: what is too long is cut' },
  { fault: 'poison', places: ['redis'], because: 'Redis refuses whoever asks, never what is written' },
  { fault: 'poison', places: ['upstream'], because: 'what one proxy has taken the next one takes: it refuses whole sites' },
  { fault: 'poison', places: ['file', 'console'], because: 'it takes whatever it is given' },
  { fault: 'restart', places: ['file', 'console', 'module', 'sqlite'], because: NO_WAY },
];

/** Why a place has no such fault; undefined if it has. */
export function leftOut(fault: FaultName, place: Place): string | undefined {
  const reason = LEFT_OUT.find((each) => each.fault === fault && each.places.includes(place.name))?.because;
  if (reason !== undefined) return reason;
  return fault === 'taken in part' && !place.tap && !place.takeInPart ? 'it takes root to mount a disk that can be filled' : undefined;
}
