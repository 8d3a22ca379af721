/** Puts the spool of a stopped life right, in its place, so that the next recorder of its component finds nothing damaged. */
import { systemClock } from '../core/clock.ts';
import { FondacoError } from '../core/errors.ts';
import { LANES, perLane, type PerLane } from '../core/lane.ts';
import { LevelJournal } from '../journal/level-journal.ts';
import { adoptLife } from './adoption.ts';
import { writeRows } from './life.ts';
import type { SeriesStore } from './series-store.ts';
import type { LifePlace } from './stopped-life.ts';

const HOLDER = `fondaco spool, process ${process.pid}`;
const CUT = { eventsMax: 1000, bytesMax: 1024 * 1024 };

export interface LifeRepair {
  /** What was damaged, with the place of the evidence, in words; empty where there was nothing to do. */
  readonly done: readonly string[];
  /** Events that wait to be sent. */
  readonly events: PerLane<number>;
  /** Events that are declared lost with the next batch, with exact ranges. What was behind the last that is known of cannot be counted. */
  readonly lost: PerLane<number>;
}

/** Rejects UNAVAILABLE if its owner is alive, FULL without room, CONFIG if it may not be written to. */
export async function repairLife(place: LifePlace): Promise<LifeRepair> {
  const clock = systemClock();
  const done: string[] = [];
  let unreadable: Error | undefined;
  const life = await adoptLife(place.directory, {
    node: '',
    component: place.component,
    clock,
    openJournal: (directory) =>
      LevelJournal.open(directory, { clock, stamp: { site: '' }, holder: HOLDER, recentBytes: 0, isWitnessed: true }),
    onProblem: ({ text }) => done.push(text),
    onCommit: () => undefined,
    onDamage: () => undefined,
    events: {
      changed: () => undefined,
      rejected: () => undefined,
      unreadable: (_, error) => (unreadable = error),
      damaged: ({ id }, { first, last }) => done.push(`events ${id}-${first} to -${last} are gone: they are declared lost`),
    },
  });
  if (!life) throw new FondacoError('UNAVAILABLE', `the life ${place.life} must be there and free, got one that is in use`);
  try {
    for (const lane of LANES) await findHoles(life.stores[lane], () => unreadable);
    if (done.length > 0) await writeRows(life);
    const { stores } = life;
    return {
      done,
      events: perLane((lane) => stores[lane].spooled + stores[lane].queued),
      lost: perLane((lane) => stores[lane].lost.count(1, stores[lane].last)),
    };
  } finally {
    await life.journal?.close();
  }
}

/** Reads all of it; what is not there is noted as lost. */
async function findHoles(store: SeriesStore, problem: () => Error | undefined): Promise<void> {
  while (store.hasMore) {
    const cut = await store.read(CUT);
    if (!cut) throw problem() ?? new FondacoError('CORRUPT', `the ${store.lane} events must be readable, got an end before their end`);
    store.window.send(cut.last);
  }
}
