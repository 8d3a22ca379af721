/** What a site that was killed again and again has in the end, held against what its agents were told. */
import { LANES } from '../../../core/lane.ts';
import { numbered } from '../../support/numbered.ts';
import type { Delivered } from '../../support/record-book.ts';
import type { Site } from '../../support/site.ts';
import { blame, type Verdict } from '../verdict.ts';
import type { ConfirmingSource } from './confirming-source.ts';

interface Arrived {
  /** Σ `added`, by message. */
  readonly added: ReadonlyMap<string, number>;
  readonly ids: ReadonlySet<string>;
}

/** Everything is drained. What `record()` confirmed is there, counted exactly, in order over all lives, and the books balance. */
export async function judgeSite(site: Site, sources: readonly ConfirmingSource[], verdict: Verdict): Promise<void> {
  const { book } = site.ops;
  const { events } = book;
  const added = new Map<string, number>();
  for (const event of events) added.set(event.message, (added.get(event.message) ?? 0) + event.added);
  const arrived = { added, ids: new Set(events.map(({ id }) => id)) };
  let tried = 0;
  for (const source of sources) {
    const log = source.log();
    tried += log.tried;
    verdict.events += log.confirmed.size;
    for (let n = 1; n <= log.tried; n++) checkCounts(source.component, n, log, arrived, verdict);
    checkOrder(source.component, events, verdict);
  }
  verdict.repeated += book.deliveries.length - new Set(book.deliveries.map(({ id }) => id)).size;
  for (const problem of book.problems()) blame(verdict, 'wrongCounts', 1, problem);
  for (const { message } of book.own('fondaco.Loss')) blame(verdict, 'lost', 1, `a loss is announced: ${message}`);
  blame(verdict, 'wrongCounts', book.added - tried, `Σ added is ${book.added}, ${tried} were recorded`);
  await checkBooks(site, book.added, verdict);
}

async function checkBooks(site: Site, added: number, verdict: Verdict): Promise<void> {
  const ledger = await site.proxy.ledger();
  blame(verdict, 'discrepancy', Math.abs(ledger.dedupDiscrepancy), 'accepted events that no entry counts');
  for (const { name, lanes } of ledger.writers)
    for (const lane of LANES) blame(verdict, 'discrepancy', Math.abs(lanes[lane].discrepancy), `the ledger of ${name} ${lane}`);
  blame(verdict, 'lost', ledger.lost, 'lost, says the ledger');
  blame(verdict, 'wrongCounts', ledger.rejected, 'rejected, says the ledger');
  const accepted = ledger.accepted.urgent + ledger.accepted.normal;
  blame(verdict, 'wrongCounts', Math.abs(accepted - added), `accepted ${accepted}, Σ added at the destination ${added}`);
  const { checks } = await site.proxy.verify();
  for (const { name, expected, found } of checks) blame(verdict, 'discrepancy', Math.abs(expected - found), `the audit of ${name}`);
}

/** Of the events that look the same, at least those arrived that were confirmed, and at most those that were tried. */
function checkCounts(
  component: string,
  n: number,
  { tried, confirmed }: ReturnType<ConfirmingSource['log']>,
  { added, ids }: Arrived,
  verdict: Verdict,
): void {
  const [message, next] = [numbered(component, n)[2], numbered(component, n + 1)[2]];
  if (!message.endsWith(` ${n}`)) return; // a repeat: counted with the one before it
  const id = confirmed.get(n)?.id;
  if (id !== undefined && !ids.has(id)) blame(verdict, 'lost', 1, `${message}, confirmed as ${id}`);
  const same = next === message && n < tried ? [n, n + 1] : [n];
  const found = added.get(message) ?? 0;
  const least = same.filter((number) => confirmed.has(number)).length;
  if (id === undefined || ids.has(id)) blame(verdict, 'lost', least - found, `${message}: ${found} of ${least}`);
  blame(verdict, 'wrongCounts', found - same.length, `${message}: ${found} of ${same.length}`);
}

/** By the numbers that the agent gave, whatever the life and its series: what an earlier life left comes before what a later one records. */
function checkOrder(component: string, events: readonly Delivered[], verdict: Verdict): void {
  const last = { urgent: 0, normal: 0 };
  for (const { message, revision, source, delivery } of events) {
    if (source.component !== component || revision > 0) continue;
    const n = Number(message.slice(message.lastIndexOf(' ') + 1));
    if (n < last[delivery.lane]) blame(verdict, 'wrongCounts', 1, `${message} after ${last[delivery.lane]}`); // equal: a repeat that was not folded
    last[delivery.lane] = n;
  }
}
