import { LANES } from '../../../core/lane.ts';
import type { Ledger } from '../../../dispatcher/ledger/ledger.ts';
import type { Loss } from '../../../dispatcher/ledger/losses.ts';
import type { RecordBook } from '../../support/record-book.ts';
import { blame, newVerdict, type Verdict } from '../verdict.ts';
import type { FullDiskSite } from './site.ts';
import type { Source } from './source.ts';

/** Announced once each, to the first writer as to all. */
function lossesOf(site: FullDiskSite): Loss[] {
  return firstBook(site)
    .own('fondaco.Loss')
    .flatMap((event) => (event as unknown as { attributes: { losses: Loss[] } }).attributes.losses);
}

function firstBook(site: FullDiskSite): RecordBook {
  return [...site.writers.values()][0]!.book;
}

/** The ids that a recorder dropped, as they were named. */
function dropped(source: Source, losses: readonly Loss[]): Set<string> {
  const ids = new Set<string>();
  const series = new Set([...source.recorded.keys()].map((id) => id.slice(0, id.lastIndexOf('-'))));
  for (const { origin, ranges } of losses) {
    if (origin.kind !== 'series' || !series.has(origin.id)) continue;
    for (const [first, last] of ranges) for (let seq = first; seq <= last; seq++) ids.add(`${origin.id}-${seq}`);
  }
  return ids;
}

/** What a recorder kept and lost: everything is at the first writer or named, nothing is both, and no critical event went for a lower one. */
export function judgeSource(site: FullDiskSite, source: Source): Verdict {
  const verdict = newVerdict();
  const named = dropped(source, lossesOf(site));
  const came = new Set(firstBook(site).events.map(({ id }) => id));
  const { recorded, recorder } = source;
  verdict.events = recorded.size;
  const count = (isIn: (id: string, severity: string) => boolean): number => [...recorded].filter(([id, each]) => isIn(id, each)).length;
  blame(verdict, 'lost', count((id) => !came.has(id) && !named.has(id)), 'neither came nor were named'); // prettier-ignore
  blame(verdict, 'wrongCounts', count((id) => came.has(id) && named.has(id)), 'came, and were named as lost'); // prettier-ignore
  const isKept = count((id, severity) => severity === 'info' && came.has(id)) > 0;
  const urgent = count((id, severity) => severity === 'critical' && named.has(id));
  blame(verdict, 'wrongCounts', isKept ? urgent : 0, 'critical events were dropped while info ones were kept');
  blame(verdict, 'discrepancy', Math.abs(recorder.status().ledger.dropped - named.size), 'between the recorder and the notices');
  return verdict;
}

/** What one writer got, of all that is in the journal: what it did not get is named, in number, and in its books. */
export function judgeWriter(site: FullDiskSite, name: string, ledger: Ledger): Verdict {
  const verdict = newVerdict();
  const losses = lossesOf(site);
  const notices = firstBook(site).own('fondaco.Loss').length;
  const { book } = site.writers.get(name)!;
  const came = new Set(book.events.map(({ id }) => id));
  const { lanes } = ledger.writers.find((writer) => writer.name === name)!;
  for (const lane of LANES) {
    const severity = lane === 'urgent' ? 'critical' : 'info';
    const stored = site.sources.flatMap((source) => {
      const gone = dropped(source, losses);
      return [...source.recorded].filter(([id, each]) => each === severity && !gone.has(id)).map(([id]) => id);
    });
    verdict.events += stored.length;
    const missing = stored.filter((id) => !came.has(id)).length;
    const told = losses
      .filter(({ origin }) => origin.kind === 'writer' && origin.id === `${name}/${lane}`)
      .reduce((sum, loss) => sum + loss.count, 0);
    blame(verdict, 'lost', missing - told, `of ${name}/${lane}, neither delivered nor named`);
    // Notices of losses are of the urgent lane; one that is given up itself is counted, and not announced.
    if (lane === 'normal') blame(verdict, 'wrongCounts', told - missing, `of ${name}/${lane}, delivered and named`);
    blame(verdict, 'discrepancy', Math.abs(lanes[lane].discrepancy), `in the books of ${name}/${lane}`);
    const own = lane === 'urgent' ? notices : 0;
    const unnamed = lanes[lane].dropped + lanes[lane].expired - told;
    blame(verdict, 'discrepancy', unnamed < 0 ? -unnamed : unnamed - own, `of ${name}/${lane}, between books and notices`);
  }
  const wrong = book.problems();
  blame(verdict, 'wrongCounts', wrong.length, wrong[0] ?? '');
  verdict.repeated = book.deliveries.length - new Set(book.deliveries.map(({ id }) => id)).size;
  return verdict;
}

/** Of several: the events once. */
export function together(verdicts: readonly Verdict[]): Verdict {
  const sum = newVerdict();
  for (const each of verdicts) {
    sum.events = Math.max(sum.events, each.events);
    for (const column of ['lost', 'repeated', 'wrongCounts', 'discrepancy'] as const) sum[column] += each[column];
    sum.problems.push(...each.problems);
  }
  return sum;
}
