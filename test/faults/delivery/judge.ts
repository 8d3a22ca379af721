/** What came to one destination, held against what was recorded, by the rule that its writer states. */
import { LANES, type Lane } from '../../../core/lane.ts';
import type { LaneLedger } from '../../../dispatcher/ledger/ledger.ts';
import { blame, newVerdict, type Verdict } from '../verdict.ts';
import type { Arrived } from './arrived.ts';
import { POISON, SKIPPED, type Load } from './load.ts';
import type { Place } from './place.ts';

export interface Scene {
  readonly place: Pick<Place, 'name' | 'rule' | 'inFlight'>;
  readonly load: Load;
  readonly ledger: Readonly<Record<Lane, LaneLedger>>;
  /** Poison is refused here. */
  readonly isPoisoned: boolean;
  /** Some lives of the proxy had a filter against SKIPPED. */
  readonly isFiltered: boolean;
}

/** `missing`: what a best effort did not bring. */
export function judge(arrived: readonly Arrived[], scene: Scene): Verdict & { missing: number } {
  const verdict = newVerdict();
  const firsts = new Map<string, Arrived>();
  for (const lane of LANES) {
    const mine = arrived.filter((event) => event.lane === lane);
    const before = firsts.size;
    repeats(mine, { firsts, ...scene.place }, verdict);
    const came = [...firsts.values()].slice(before);
    order(came, scene.load, verdict);
    if (scene.place.rule !== 'best effort') numbers(came, scene.ledger[lane].dead, verdict);
    blame(verdict, 'discrepancy', Math.abs(scene.ledger[lane].discrepancy), `the ledger, ${lane}`);
  }
  verdict.events = scene.load.count;
  contents(firsts, scene, verdict);
  const missing = counts(firsts, scene, verdict);
  for (let i = 0; i < verdict.problems.length; i++) verdict.problems[i] = `${scene.place.name}: ${verdict.problems[i]}`;
  return { ...verdict, missing };
}

/** A repeat is equal, and was under way: nothing has come that stands further behind it than what a writer has in hand. */
function repeats(events: readonly Arrived[], scene: RepeatScene, verdict: Verdict): void {
  const highest = new Map<string | undefined, number>();
  for (const event of events) {
    const { id, series, seq = 0, text } = event;
    const first = scene.firsts.get(id);
    const top = highest.get(series) ?? 0;
    highest.set(series, Math.max(top, seq));
    if (first === undefined) {
      scene.firsts.set(id, event);
      continue;
    }
    verdict.repeated++;
    if (first.text !== text) blame(verdict, 'wrongCounts', 1, `a repeat differs: ${first.text} | ${text}`);
    if (scene.rule === 'once') blame(verdict, 'wrongCounts', 1, `${id} is there twice`);
    if (top - seq >= scene.inFlight) blame(verdict, 'wrongCounts', 1, `${id}, number ${seq}, came again when ${top} had come`);
  }
}

interface RepeatScene extends Pick<Place, 'rule' | 'inFlight'> {
  readonly firsts: Map<string, Arrived>;
}

/** Agents' events in the order in which they were recorded, as far as it is promised. */
function order(came: readonly Arrived[], { byId }: Load, verdict: Verdict): void {
  const last = new Map<string | undefined, number>();
  for (const { id, order: group } of came) {
    const at = byId.get(id)?.at;
    if (at === undefined) continue;
    const before = last.get(group) ?? -1;
    if (at < before) blame(verdict, 'wrongCounts', 1, `${id} came after one that was recorded later`);
    last.set(group, Math.max(at, before));
  }
}

/** The numbers of each delivery series begin with 1; what is missing of them is exactly the dead letters. */
function numbers(came: readonly Arrived[], dead: number, verdict: Verdict): void {
  const series = new Map<string, Set<number>>();
  for (const { series: name, seq } of came) {
    if (name === undefined || seq === undefined) continue;
    if (!series.has(name)) series.set(name, new Set());
    series.get(name)!.add(seq);
  }
  if (series.size === 0) return;
  let gaps = 0;
  for (const seqs of series.values()) gaps += Math.max(...seqs) - seqs.size;
  blame(verdict, 'wrongCounts', Math.abs(gaps - dead), `${gaps} numbers are missing, of ${dead} dead letters`);
}

/** What came is what was recorded, or Fondaco's own. */
function contents(firsts: ReadonlyMap<string, Arrived>, { load, isPoisoned }: Scene, verdict: Verdict): void {
  for (const [id, { type, message, lane }] of firsts) {
    if (type.startsWith('fondaco.')) continue;
    const recorded = load.byId.get(id) ?? load.byId.get(id.replace(/\.\d+$/, ''));
    const isSame = recorded?.type === type && recorded.message === message && recorded.lane === lane;
    if (!isSame) blame(verdict, 'wrongCounts', 1, `${id} (${type}, ${lane}, ${message}) was never recorded so`);
    if (isPoisoned && type === POISON) blame(verdict, 'wrongCounts', 1, `${id} is poison, and came`);
  }
}

/** Nothing is lost, and the books say the same as the destination. */
function counts(firsts: ReadonlyMap<string, Arrived>, scene: Scene, verdict: Verdict): number {
  const { load, ledger, place } = scene;
  const sum = (of: keyof LaneLedger): number => LANES.reduce((total, lane) => total + ledger[lane][of], 0);
  const poison = scene.isPoisoned ? load.countOf(POISON) : 0;
  blame(verdict, 'wrongCounts', Math.abs(sum('dead') - poison), `${sum('dead')} dead letters, of ${poison} poisonous events`);
  const undelivered = sum('delivered') - firsts.size;
  if (place.rule === 'best effort') return undelivered;
  blame(verdict, 'discrepancy', Math.abs(undelivered), `the ledger says that ${sum('delivered')} were delivered, ${firsts.size} came`);
  // Of Fondaco's own some are for another writer alone: those count as filtered.
  const own = [...firsts.values()].filter(({ type }) => type.startsWith('fondaco.')).length;
  if (load.isDedup) added(firsts, load, verdict);
  else each(firsts, { ...scene, filtered: sum('filtered') - (sum('made') - own) }, verdict);
  return 0;
}

/** Σ `added` is what was recorded, where a destination is told. */
function added(firsts: ReadonlyMap<string, Arrived>, { count }: Load, verdict: Verdict): void {
  const agents = [...firsts.values()].filter(({ type }) => !type.startsWith('fondaco.'));
  if (agents.some((event) => event.added === undefined)) return;
  const total = agents.reduce((sum, event) => sum + event.added!, 0);
  blame(verdict, 'lost', count - total, `Σ added is ${total}, ${count} were recorded`);
  blame(verdict, 'wrongCounts', total - count, `Σ added is ${total}, ${count} were recorded`);
}

function each(firsts: ReadonlyMap<string, Arrived>, scene: Scene & { filtered: number }, verdict: Verdict): void {
  const { load, isPoisoned, isFiltered, filtered } = scene;
  let skipped = 0;
  for (const [id, { type, message }] of load.byId) {
    if (firsts.has(id) || (isPoisoned && type === POISON)) continue;
    if (isFiltered && type === SKIPPED) skipped++;
    else blame(verdict, 'lost', 1, `${id}, ${message}`);
  }
  // Not one more, not one less: what was in flight when the filter changed has come, and is not counted as filtered.
  blame(verdict, 'lost', skipped - filtered, `${skipped} did not come, ${filtered} of them by the filter`);
  blame(verdict, 'wrongCounts', filtered - skipped, `${filtered} were filtered, ${skipped} did not come`);
}
