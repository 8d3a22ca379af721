/** What became of everything, told by the sender, the destinations and the store's history; the books are held against it. */
import type { Entry } from '../../../core/journal.ts';
import { LANES, type Lane } from '../../../core/lane.ts';
import { SEVERITY_NUMBER } from '../../../core/severity.ts';
import { uuidText } from '../../../core/uuid.ts';
import type { DeadLetter } from '../../../dispatcher/dead-letters/dead-letters.ts';
import type { LaneLedger, Ledger } from '../../../dispatcher/ledger/ledger.ts';
import type { Loss } from '../../../dispatcher/ledger/losses.ts';
import { addresseeOf, isTelling } from '../../../dispatcher/own-events.ts';
import { rowOf, rowsOf } from '../../support/store-audit.ts';
import type { RunCost } from '../random-schedules.ts';
import type { Known } from './history.ts';
import { BAD, type Run } from './run.ts';
import { WRITERS, type WriterName } from './steps.ts';

/** Names of rows, by what a loss notice gives as the cause, or by what was done. */
export const FAULTS = [
  'spool full',
  'memory full',
  'spool removed or damaged',
  'event rejected',
  'store set back to an older copy',
  'budget or backlog spent',
  'older than ageMax',
  'dead letter purged',
  'store damaged',
  'write fails, or fails and is stored',
  'proxy killed',
  'replay of dead letters',
] as const;
const [SPOOL, MEMORY, WIPED, REJECTED, RESTORED, BUDGET, AGE, PURGED, DAMAGED, DISK, KILLED, REPLAY] = FAULTS;

interface Named {
  readonly cause: Loss['cause'];
  readonly at: number;
}

export function judge(run: Run, ledger: Ledger): RunCost {
  const { problems } = run;
  const cost = { lost: 0, repeated: 0, wrongCounts: problems.length, discrepancy: run.off };
  const wrong = (problem: string): void => {
    cost.wrongCounts++;
    problems.push(problem);
  };
  const notices = LANES.flatMap((lane) => run.history.lanes[lane]).filter(isLoss);
  const losses = notices
    .filter(({ event }) => addresseeOf(event) === undefined) // with one it says again what was announced
    .flatMap(({ event }) => event.attributes.losses as Loss[]);
  cost.lost += judgeSender(run, losses, wrong);
  let unnamed = 0;
  for (const name of WRITERS) {
    cost.repeated += judgeNumbers(run, name, wrong);
    for (const lane of LANES) {
      const found = classify(run, name, lane, namedOf(losses, `${name}/${lane}`, wrong), wrong);
      if (run.did.has('restored')) continue;
      const columns = ledger.writers.find((writer) => writer.name === name)!.lanes[lane];
      unnamed += found.unnamed + giveUpTaken(found, columns);
      for (const [column, count] of Object.entries(found.columns)) {
        const off = Math.abs(columns[column as keyof LaneLedger] - count);
        cost.discrepancy += off;
        if (off > 0) problems.push(`${name}/${lane}: ${column} must be ${count}, the ledger has ${JSON.stringify(columns)}`);
      }
    }
  }
  const { noticesLost = 0 } = rowOf(run.storage, 'ledger') as { noticesLost?: number };
  if (unnamed !== noticesLost && !run.did.has('restored'))
    wrong(`${unnamed} notices were not sent and not named, the ledger says ${noticesLost}`);
  return { ...cost, events: run.sender.recorded.length - run.sender.lost.size, faults: faultsOf(run, losses), problems };
}

/** Every event of the sender is stored, or named with its cause, and nothing else is named. Returns how many are neither. */
function judgeSender({ sender, history, restored, did }: Run, losses: readonly Loss[], wrong: (problem: string) => void): number {
  const id = uuidText(sender.series);
  const stored = new Set(
    LANES.flatMap((lane) => history.lanes[lane])
      .filter(({ entry }) => entry.series === id)
      .map(({ entry }) => entry.seq),
  );
  const isRestored = did.has('restored');
  const named = new Map<number, string>();
  for (const { cause, at } of namedOf(losses, id, isRestored ? () => undefined : wrong)) named.set(at, cause);
  const last = restored.at(-1);
  let lost = 0;
  for (let seq = 1; seq <= sender.recorded.length; seq++) {
    const cause = sender.lost.get(seq) ?? (sender.recorded[seq - 1]!.message === `text ${BAD}` ? 'rejected' : undefined);
    const wasRestored = restored.some(([from, to]) => from <= seq && seq <= to);
    const is = named.get(seq);
    if (is === undefined && !stored.has(seq) && (cause === undefined || !wasRestored || (last && last[0] <= seq && seq <= last[1]))) {
      lost++;
      wrong(`${id}-${seq} is neither stored nor named`);
    }
    if (is !== undefined && is !== cause && !wasRestored) wrong(`${id}-${seq} must be named ${cause ?? 'not at all'}, got ${is}`);
    if (is !== undefined && stored.has(seq) && !isRestored) wrong(`${id}-${seq} is stored, and named ${is}`);
  }
  for (const seq of named.keys()) if (seq > sender.recorded.length) wrong(`${id}-${seq} was never recorded, and is named`);
  return lost;
}

/** Seqs or positions that notices name for an origin; each once. */
function namedOf(losses: readonly Loss[], id: string, wrong: (problem: string) => void): Named[] {
  const named = new Map<number, Named>();
  for (const { origin, cause, count, ranges } of losses.filter((loss) => loss.origin.id === id)) {
    let counted = 0;
    for (const [first, last] of ranges) {
      counted += last - first + 1;
      for (let at = first; at <= last; at++) {
        if (named.has(at)) wrong(`${origin.id} ${at} is named twice: ${named.get(at)!.cause}, ${cause}`);
        named.set(at, { cause, at });
      }
    }
    if (counted !== count) wrong(`a notice of ${id} must count ${counted}, got ${count}`);
  }
  return [...named.values()];
}

/** A delivery number is always of the same entry, in a series they are dense but for what was set aside. Returns the repeats. */
function judgeNumbers(run: Run, name: WriterName, wrong: (problem: string) => void): number {
  const letters = rowsOf(run.storage, `dead:${name}/`).map(({ value }) => value as DeadLetter);
  const numbers = new Map<string, string>();
  const seqs = new Map<string, Set<number>>();
  const lastOf = new Map<string, number>();
  let repeated = 0;
  for (const { entry, delivery, event } of [...run.taken[name], ...letters]) {
    const key = `${delivery.series}/${delivery.seq}`;
    const what = `${delivery.lane}/${entry.birth}/${entry.position} ${event.id}`;
    const before = numbers.get(key);
    if (before !== undefined && before !== what) wrong(`${name}: delivery ${key} was ${before}, got ${what}`);
    if (before !== undefined) repeated++;
    numbers.set(key, what);
    seqs.set(delivery.series, (seqs.get(delivery.series) ?? new Set()).add(delivery.seq));
  }
  for (const { entry, delivery } of run.taken[name]) {
    if (numbers.get(`${delivery.series}/${delivery.seq}`) === undefined) continue;
    numbers.delete(`${delivery.series}/${delivery.seq}`);
    // An older store does not know what was set aside after it was copied: that may be delivered now, behind what came later.
    const isBehind = entry.position <= (lastOf.get(delivery.series) ?? 0) && !run.did.has('restored');
    if (isBehind) wrong(`${name}: ${delivery.lane}/${entry.position} is out of order`);
    lastOf.set(delivery.series, entry.position);
  }
  // What a replay takes out of a series, and a purge, leaves a gap that is named.
  if (run.did.has('purge') || run.did.has('replay') || run.did.has('restored')) return repeated;
  for (const [series, held] of seqs) {
    if (Math.max(...held) !== held.size) wrong(`${name}: ${series} must have no gap but at dead letters, got ${[...held].join()}`);
  }
  return repeated;
}

interface Classified {
  readonly columns: Record<'accepted' | 'made' | 'delivered' | 'folded' | 'filtered' | 'dead' | 'expired' | 'dropped', number>;
  /** Loss notices that were given up: those are not announced. */
  unnamed: number;
  /** Loss notices that were taken: some of them may have been given up all the same, before that was settled. */
  takenNotices: number;
  /** Notices for another writer, that pass its filter or are given up with others. */
  elsewhere: number;
}

/** What became of each entry at a writer: it is in exactly one column. */
function classify(run: Run, name: WriterName, lane: Lane, named: readonly Named[], wrong: (problem: string) => void): Classified {
  const placeOf = (entry: { readonly birth: number; readonly position: number }): string => `${entry.birth}/${entry.position}`;
  const places = (all: readonly { delivery: { lane: Lane }; entry: { birth: number; position: number } }[]): Set<string> =>
    new Set(all.filter(({ delivery }) => delivery.lane === lane).map(({ entry }) => placeOf(entry)));
  const taken = places(run.taken[name]);
  const dead = places(rowsOf(run.storage, `dead:${name}/`).map(({ value }) => value as DeadLetter));
  const causes = new Map(named.map(({ at, cause }) => [at, cause]));
  const columns = { accepted: 0, made: 0, delivered: 0, folded: 0, filtered: 0, dead: 0, expired: 0, dropped: 0 };
  let [unnamed, takenNotices, elsewhere] = [0, 0, 0];
  for (const known of run.history.lanes[lane]) {
    const { entry } = known;
    const place = placeOf({ birth: entry.epoch.birth, position: entry.position });
    const cause = causes.get(entry.position);
    columns[entry.kind === 'made' ? 'made' : 'accepted']++;
    if (dead.has(place)) columns.dead++;
    else if (cause !== undefined) columns[cause === 'age' ? 'expired' : 'dropped']++;
    else if (entry.kind === 'folded') columns.folded++;
    else if (taken.has(place)) {
      columns.delivered++;
      if (isTelling(known.event, entry)) takenNotices++;
    } else if (isTelling(known.event, entry) && (addresseeOf(known.event) ?? name) === name) {
      columns.dropped++;
      unnamed++;
    } else {
      columns.filtered++;
      if (isTelling(known.event, entry)) elsewhere++;
      if (!mayBeFiltered(name, entry, known) && !isTelling(known.event, entry))
        wrong(`${name}: ${lane}/${entry.position} ${known.event.message} was neither taken, set aside nor named`);
    }
  }
  return { columns, unnamed, takenNotices, elsewhere };
}

/** Notices that are announced nowhere: whether they were given up for their age or for want of room, and which of those that were taken, the books alone tell. */
function giveUpTaken({ columns, unnamed, takenNotices, elsewhere }: Classified, { expired, dropped, filtered }: LaneLedger): number {
  const excess = Math.max(expired + dropped - columns.expired - columns.dropped, 0);
  const passed = Math.min(excess, elsewhere, Math.max(columns.filtered - filtered, 0));
  const taken = Math.min(excess - passed, takenNotices);
  const more = passed + taken;
  columns.filtered -= passed;
  columns.delivered -= taken;
  columns.dropped += more;
  const old = Math.min(unnamed + more, Math.max(expired - columns.expired, 0));
  columns.dropped -= old;
  columns.expired += old;
  return more;
}

function isLoss({ entry, event }: Known): boolean {
  return entry.kind === 'made' && event.type === 'fondaco.Loss';
}

function mayBeFiltered(name: WriterName, entry: Entry, { event }: Known): boolean {
  return name === 'one' && (SEVERITY_NUMBER[event.severity] < SEVERITY_NUMBER.warn || !event.type.startsWith('test.'));
}

function faultsOf({ did }: Run, losses: readonly Loss[]): Map<string, number> {
  const faults = new Map<string, number>();
  const had = (fault: string, count: number): void => {
    if (count > 0) faults.set(fault, (faults.get(fault) ?? 0) + count);
  };
  const byCause: Partial<Record<Loss['cause'], string>> = {
    'spool-full': SPOOL,
    'memory-full': MEMORY,
    rejected: REJECTED,
    restored: RESTORED,
    budget: BUDGET,
    age: AGE,
    purged: PURGED,
  };
  for (const { cause, origin, ranges } of losses) {
    had(cause === 'corrupt' ? (origin.kind === 'series' ? WIPED : DAMAGED) : (byCause[cause] ?? cause), ranges.length);
  }
  had(DISK, did.get('fate') ?? 0);
  had(KILLED, (did.get('kill') ?? 0) + (did.get('damage') ?? 0) + (did.get('restore') ?? 0));
  had(REPLAY, did.get('replay') ?? 0);
  return faults;
}
