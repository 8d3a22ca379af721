/** What a run has to show for itself at its end, by what its agents and its destinations know: nothing that the proxy counted is believed. */
import type { Entry } from '../../../core/journal.ts';
import { LANES } from '../../../core/lane.ts';
import { SEVERITY_NUMBER } from '../../../core/severity.ts';
import type { Delivery } from '../../../core/writer.ts';
import type { DecodedEvent } from '../../../core/event-codec.ts';
import { readLedger } from '../../../dispatcher/ledger/ledger.ts';
import { verifyLedger } from '../../../dispatcher/ledger/ledger-verify.ts';
import type { DeadLetter } from '../../../dispatcher/dead-letters/dead-letters.ts';
import { addresseeOf, isTelling } from '../../../dispatcher/own-events.ts';
import type { Loss } from '../../../dispatcher/ledger/losses.ts';
import { nativeJson } from '../../../writers/native-json.ts';
import { auditStore, decodeOf, rowsOf } from '../../support/store-audit.ts';
import type { Destination } from './destination.ts';
import type { World } from './world.ts';
import { WRITERS, type WriterName } from './site.ts';

/** What a run cost. */
export interface Verdict {
  readonly events: number;
  lost: number;
  repeated: number;
  wrongCounts: number;
  discrepancy: number;
  readonly problems: string[];
}

interface Found {
  readonly entry: Entry;
  readonly event: DecodedEvent;
}

export async function judge(world: World): Promise<Verdict> {
  const { site, agents } = world;
  const recorded = agents.flatMap((agent) => agent.recorded);
  const verdict: Verdict = {
    events: recorded.filter(({ isConfirmed }) => isConfirmed).length,
    lost: 0,
    repeated: 0,
    wrongCounts: 0,
    discrepancy: await site.checkLedgers(),
    problems: [...site.problems, ...agents.flatMap(({ problems }) => problems)],
  };
  verdict.wrongCounts += verdict.problems.length;
  const history = [...site.history.values()].map((entry) => ({ entry, event: decodeOf(entry) }));
  judgeIntake(world, history, verdict);
  for (const name of WRITERS) judgeWriter(world, name, verdict);
  await judgeBooks(world, verdict);
  return verdict;
}

const wrong = (verdict: Verdict, problem: string): void => {
  verdict.wrongCounts++;
  verdict.problems.push(problem);
};

/** Confirmed: in the journal or named. In the journal: once, as it was recorded, in its order. */
function judgeIntake(world: World, history: readonly Found[], verdict: Verdict): void {
  const stored = new Map<string, Found>();
  const isRestored = world.site.restores > 0;
  for (const found of history.filter(({ entry }) => entry.kind !== 'made')) {
    const { traceparent = '' } = found.event;
    if (stored.has(traceparent) && !isRestored) wrong(verdict, `${traceparent} is stored twice`);
    stored.set(traceparent, found);
  }
  const named = namedSeqs(world);
  const marks = new Map(world.agents.flatMap(({ recorded }) => recorded.map((event) => [event.mark, event] as const)));
  for (const [mark, { entry, event }] of stored) {
    const known = marks.get(mark);
    const id = `${entry.series}-${entry.seq}`;
    if (known?.id !== id) wrong(verdict, `${id} ${mark} was never recorded`);
    else if (entry.kind === 'accepted' && event.message !== known.message)
      wrong(verdict, `${id} was ${known.message}, got ${event.message}`);
    else if (entry.lane !== known.lane) wrong(verdict, `${id} must be ${known.lane}`);
    if (named.has(id) && !isRestored) wrong(verdict, `${id} is there, and named as lost`);
  }
  for (const { mark, id, isConfirmed, isExcused } of marks.values()) {
    if (!isConfirmed || isExcused || stored.has(mark) || named.has(id)) continue;
    verdict.lost++;
    verdict.problems.push(`${mark} ${id} was confirmed, and is neither stored nor named`);
  }
  for (const agent of world.agents)
    if (!agent.isMessy && !isRestored)
      judgeOrder(
        agent.recorded.map(({ mark }) => mark),
        stored,
        verdict,
      );
}

/** Also over lives: what an earlier one left goes first. */
function judgeOrder(marks: readonly string[], stored: ReadonlyMap<string, Found>, verdict: Verdict): void {
  for (const lane of LANES) {
    let last = 0;
    for (const mark of marks) {
      const entry = stored.get(mark)?.entry;
      if (entry?.lane !== lane) continue;
      if (entry.position < last)
        wrong(verdict, `${mark} at ${lane}/${entry.position} comes before what was recorded before it, at ${last}`);
      last = entry.position;
    }
  }
}

/** Ids that a destination was told to be lost. */
function namedSeqs(world: World): Set<string> {
  const named = new Set<string>();
  for (const { event } of world.site.destinations.all.taken.filter(({ event: { type } }) => type === 'fondaco.Loss')) {
    for (const { origin, ranges } of event.attributes.losses as Loss[]) {
      for (const [first, last] of ranges) for (let seq = first; seq <= last; seq++) named.add(`${origin.id}-${seq}`);
    }
  }
  return named;
}

/** What is in the journal and meant for it was taken, or is a dead letter; in the journal's order, with dense numbers, repeats the same. */
function judgeWriter(world: World, name: WriterName, verdict: Verdict): void {
  const { site } = world;
  const { taken, setBackAt } = site.destinations[name];
  const letters = rowsOf(site.storage, `dead:${name}/`).map(({ value }) => value as DeadLetter);
  const gone = site.goneLetters.filter(({ writer }) => writer === name).map(({ letter }) => letter);
  judgeNumbers({ taken, setBackAt, letters: [...letters, ...gone] }, name, verdict);
  const placeOf = ({ entry, delivery }: Pick<Delivery, 'entry' | 'delivery'>): string =>
    `${entry.birth}/${delivery.lane}/${entry.position}`;
  const had = new Set([...taken, ...letters].map(placeOf));
  const ids = new Set(taken.map(({ event }) => event.id));
  const { entries } = auditStore(site.storage);
  for (const lane of LANES) {
    for (const entry of entries[lane]) {
      if (entry.kind === 'folded' || had.has(`${entry.epoch.birth}/${lane}/${entry.position}`)) continue;
      const event = decodeOf(entry);
      const isMeant = SEVERITY_NUMBER[event.severity] >= SEVERITY_NUMBER.warn && event.type.startsWith('test.');
      if (name === 'some' && !isMeant) continue;
      if (isTelling(event, entry) && (addresseeOf(event) ?? name) !== name) continue;
      if (site.restores > 0 && ids.has(event.id)) continue; // it was taken from the store that is no more
      verdict.lost++;
      verdict.problems.push(`${name}: ${lane}/${entry.position} ${event.id} ${event.type} was neither taken nor set aside`);
    }
  }
  for (const [place, { kind }] of site.history)
    if (kind === 'folded' && had.has(place)) wrong(verdict, `${name}: ${place} was folded, and sent`);
}

function judgeNumbers(
  { taken, setBackAt, letters }: Pick<Destination, 'taken' | 'setBackAt'> & { readonly letters: readonly DeadLetter[] },
  name: string,
  verdict: Verdict,
): void {
  const texts = new Map<string, string>();
  const lastPlace = new Map<string, number>();
  const seqs = new Map<string, Set<number>>();
  for (const [i, each] of taken.entries()) {
    if (setBackAt.has(i)) lastPlace.clear();
    const { series, seq, lane } = each.delivery;
    const text = nativeJson(each);
    const before = texts.get(`${series}/${seq}`);
    if (before !== undefined) {
      verdict.repeated++;
      if (before !== text) wrong(verdict, `${name}: ${series}/${seq} came again, but differs: ${before} | ${text}`);
      continue;
    }
    texts.set(`${series}/${seq}`, text);
    if (seq <= (lastPlace.get(`${lane}/${series}`) ?? 0)) wrong(verdict, `${name}: ${series}/${seq} is out of order`);
    lastPlace.set(`${lane}/${series}`, seq);
    seqs.set(series, (seqs.get(series) ?? new Set()).add(seq));
  }
  for (const { delivery } of letters) seqs.set(delivery.series, (seqs.get(delivery.series) ?? new Set()).add(delivery.seq));
  for (const [series, held] of seqs) {
    if (Math.max(...held) !== held.size) wrong(verdict, `${name}: ${series} must have no gap but at dead letters, got ${[...held].join()}`);
  }
}

/** The books at the end: they balance, and agree with the journal, counted. */
async function judgeBooks({ site }: World, verdict: Verdict): Promise<void> {
  const ledger = await readLedger(site.journal!);
  if (!ledger.isBalanced) verdict.discrepancy++;
  const { checks, isGood } = await verifyLedger(site.journal!, new AbortController().signal);
  if (isGood) return;
  for (const { name, expected, found, isGood: isRight } of checks) {
    if (isRight) continue;
    verdict.discrepancy += Math.max(1, Math.abs(expected - found));
    verdict.problems.push(`ledger verify: ${name}: ${expected}, counted ${found}`);
  }
}
