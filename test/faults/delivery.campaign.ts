/**
 * One table: every writer, in front of its real server, under every fault that a destination can have, and under kills of the proxy between a
 * write and its settling, also where the filter is changed in that gap. A row is a destination under a fault; all destinations of a fault are
 * writers of one proxy. Each is judged by the rule that its writer states (docs/): what is promised once is there once; what is promised at least
 * once is there, in order, and what comes again is equal and was under way. Servers that are not there (scripts/setup.mjs) are left out by name.
 */
import { PostgresServer } from '../support/postgres-server.ts';
import { seeded } from '../support/seeded.ts';
import type { Campaign, FaultRow } from './campaign.ts';
import { FAULTS, type Fault } from './delivery/faults.ts';
import { missingPlace, PLACES } from './delivery/places.ts';
import { runScene } from './delivery/scene.ts';

const EVENTS = { short: 300, long: 10_000 };
/** Of the short form, by its seed: so many faults and so many destinations of each; kills cost a start of the proxy for each destination. */
const SHORT = { faults: 2, places: 5, killed: 2 };
/** What takes 10 s to be confirmed is for the long form. */
const LATE: readonly string[] = ['tcp', 'tls', 'syslog-ng'];

const campaign: Campaign = {
  title: 'delivery: every writer under every fault',
  repeats:
    'what was under way when a reply was lost, a connection broke or the proxy was killed comes again, equal, under its id and number',
  async *run({ form, seed, progress }) {
    const names = PLACES.filter((name) => missingPlace(name) === undefined);
    const random = seeded(seed);
    const parts = form === 'long' ? all(names) : some(names, random);
    const needsPostgres = parts.some((part) => part.names.includes('postgres'));
    const postgres = needsPostgres ? await PostgresServer.start() : undefined;
    try {
      for (const [i, { fault, names }] of parts.entries()) {
        const rows = await runScene({ fault, names, postgres, rounds: fault[form], events: EVENTS[form], random });
        yield* i === 0 ? withMissing(rows) : rows;
        progress(i + 1, parts.length);
      }
    } finally {
      await postgres?.end();
    }
  },
};

export default campaign;

interface Part {
  readonly fault: Fault;
  readonly names: readonly string[];
}

function all(names: readonly string[]): Part[] {
  const parts = FAULTS.map((fault) => ({ fault, names: names.filter((name) => fault.only?.includes(name) ?? true) }));
  return parts.filter(({ names: left }) => left.length > 0);
}

/** A kill, and a few others. */
function some(names: readonly string[], random: () => number): Part[] {
  const quick = names.filter((name) => !LATE.includes(name));
  const kills = FAULTS.filter(({ kills }) => kills !== undefined);
  const others = FAULTS.filter(({ kills, short }) => kills === undefined && short > 0);
  return [
    ...pick(others, SHORT.faults, random).map((fault) => ({ fault, names: pick(quick, SHORT.places, random) })),
    ...pick(kills, 1, random).map((fault) => ({ fault, names: pick(quick, SHORT.killed, random) })),
  ];
}

function pick<T>(from: readonly T[], count: number, random: () => number): T[] {
  const left = [...from];
  return Array.from({ length: Math.min(count, left.length) }, () => left.splice(Math.floor(random() * left.length), 1)[0]!);
}

/** What cannot be run here, and why, told with the first row. */
function withMissing([first, ...others]: FaultRow[]): FaultRow[] {
  const told: Record<string, string> = {};
  for (const name of PLACES) {
    const reason = missingPlace(name);
    if (reason !== undefined) told[`not here: ${name}`] = reason;
  }
  return first ? [{ ...first, measured: { ...first.measured, ...told } }, ...others] : [];
}
