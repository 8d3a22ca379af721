import { compileFilter, type Filter } from '../dispatcher/feed/filter.ts';
import { isTelling } from '../dispatcher/own-events.ts';
import { visible } from '../writers/console-line.ts';
import type { Api } from './api.ts';
import { findEvents } from './event-pages.ts';
import type { EventView } from './event-view.ts';
import { eventTable, shortTime } from './event.ts';
import { readFilter, type FilterSource } from './filter-source.ts';
import { count, plural, print, screenColumns, table, terminalJson } from './text.ts';

export interface TestFilterFlags extends FilterSource {
  /** RFC 3339. */
  readonly since: string;
  /** Events looked at, at most. */
  readonly max: number;
  /** Events shown, at most. */
  readonly examples: number;
  readonly json?: boolean;
}

const PAGE = 1000;
const TYPES_SHOWN = 20;

interface TypeCount {
  readonly type: string;
  matched: number;
  looked: number;
}

/** What a filter makes of history. */
interface Outcome {
  /** Entries looked at: events, and the proxy's own. */
  looked: number;
  /** Those that would have been delivered. */
  matched: number;
  /** Recurrences of such that a summary counts. */
  folded: number;
  /** What tells of losses and outages: it comes past any filter, unless `notices: false`. */
  notices: number;
  /** Damaged positions, which nothing can be said of. */
  missing: number;
  readonly byType: Map<string, TypeCount>;
  /** The newest that match, with the JSON that each was read from. */
  readonly examples: { readonly event: EventView; readonly text: string }[];
  /** Received then, the oldest that was looked at, where not all were. */
  stoppedAt?: string;
}

/** Tells which events of the last hours a filter would have let through. Rejects like `readFilter`. */
export async function testFilter(api: Api, flags: TestFilterFlags): Promise<void> {
  const filter = await readFilter(api, flags);
  const outcome = await judge(api, filter, flags);
  if (flags.json === true) printOutcome(filter, outcome, flags.since);
  else print(screen(filter, outcome, flags));
}

async function judge(api: Api, filter: Filter, { since, max, examples }: TestFilterFlags): Promise<Outcome> {
  const wants = compileFilter(filter);
  const outcome: Outcome = { looked: 0, matched: 0, folded: 0, notices: 0, missing: 0, byType: new Map(), examples: [] };
  for (let before: string | undefined; ;) {
    const page = await findEvents(api, { since, ...(before !== undefined && { before }) }, Math.min(PAGE, max - outcome.looked));
    for (const found of page.found) add(outcome, found, wants, examples);
    outcome.missing += page.missing.length;
    before = page.next;
    if (before === undefined) return outcome;
    if (outcome.looked < max) continue;
    outcome.stoppedAt = page.found.at(-1)?.event.receivedTime ?? since;
    return outcome;
  }
}

function add(outcome: Outcome, found: Outcome['examples'][number], wants: (event: EventView) => boolean, examplesMax: number): void {
  const { event } = found;
  outcome.looked++;
  if (event.kind === 'made' && isTelling(event, event)) {
    outcome.notices++;
    return;
  }
  const type = outcome.byType.get(event.type) ?? { type: event.type, matched: 0, looked: 0 };
  outcome.byType.set(event.type, type);
  type.looked++;
  if (!wants(event)) return;
  type.matched++;
  if (event.kind === 'folded') outcome.folded++;
  else {
    outcome.matched++;
    if (outcome.examples.length < examplesMax) outcome.examples.push(found);
  }
}

/** Those that match most first, then those that do not. */
function typesOf({ byType }: Outcome): TypeCount[] {
  return [...byType.values()].sort((a, b) => b.matched - a.matched || b.looked - a.looked || (a.type < b.type ? -1 : 1));
}

function printOutcome(filter: Filter, outcome: Outcome, since: string): void {
  const { looked, matched, folded, notices, missing, stoppedAt, examples } = outcome;
  const facts = { filter, since, looked, matched, folded, notices, missing, ...(stoppedAt !== undefined && { stoppedAt }) };
  const head = JSON.stringify({ ...facts, byType: typesOf(outcome) }).slice(0, -1);
  // The examples as they came: what JSON.parse makes of attributes is not always what was recorded.
  print(terminalJson(`${head},"examples":[${examples.map(({ text }) => text).join(',')}]}`));
}

function screen(filter: Filter, outcome: Outcome, { since }: TestFilterFlags): string {
  const { looked, matched, folded, notices, missing, stoppedAt, examples } = outcome;
  const types = typesOf(outcome);
  const shown = types.slice(0, TYPES_SHOWN).map(({ type, ...counts }) => [visible(type), count(counts.matched), count(counts.looked)]);
  const others = types.length - shown.length;
  return [
    `filter      ${visible(JSON.stringify(filter))}`,
    `looked at   ${plural(looked, 'entry', 'entries')} received since ${shortTime(stoppedAt ?? since)}${stoppedAt === undefined ? '' : ': older ones are left out, see --max'}`,
    `matches     ${plural(matched, 'delivery', 'deliveries')}${folded > 0 ? `, and ${plural(folded, 'recurrence')} that summaries count` : ''}`,
    ...(notices > 0 ? [`past it     ${plural(notices, 'notice')} of losses or outages, unless the writer has notices: false`] : []),
    ...(missing > 0 ? [`damaged     ${plural(missing, 'range')} of the journal, left out`] : []),
    ...(types.length > 0 ? ['', table(['type', 'matches', 'of'], shown, 1)] : []),
    ...(others > 0 ? [`and ${plural(others, 'other type')}`] : []),
    ...(examples.length > 0 ? ['', eventTable(examples.map(({ event }) => event), screenColumns())] : []), // prettier-ignore
  ].join('\n');
}
