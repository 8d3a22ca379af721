/**
 * Judges a journal that a power cut left: the real one is opened on it, the senders go on where they were told they are, everything is
 * delivered, and what destinations have then, from before the cut and from after it, must be what was sent: each event counted once.
 */
import { join } from 'node:path';
import type { Journal } from '../../../core/journal.ts';
import { LANES, type Lane } from '../../../core/lane.ts';
import type { Loss } from '../../../dispatcher/ledger/losses.ts';
import { verifyLedger } from '../../../dispatcher/ledger/ledger-verify.ts';
import { fastClock } from '../../support/fast-clock.ts';
import type { JournalWitness } from './journal-witness.ts';
import { batchOf, bytesOf, messageOf, openPowerSite, WRITERS, type PowerSite, type Seen, type SenderState } from './small-site.ts';
import { blame, newVerdict, TORN_END, type Verdict } from '../verdict.ts';
import { RecordBook, type Delivered } from '../../support/record-book.ts';
import { until } from '../../support/until.ts';

/** Faster than the load: what waited there for seconds must not be waited for again at each cut. */
const SPEED = 40;
const BATCH = 50;
const LIMIT_MS = 180_000;

/** `folder` holds the state of the cut; the journal is in `store` in it. */
export async function judgeJournal(folder: string, witness: JournalWitness): Promise<Verdict> {
  const verdict = newVerdict();
  verdict.events = witness.senders.reduce((sum, { acked }) => sum + acked, 0);
  blame(verdict, 'lost', witness.lost, 'settled, and asked for again by a life that began after a cut');
  let site: PowerSite | undefined;
  try {
    site = await openPowerSite(join(folder, 'store'), {
      onTaken: (writer, deliveries) => void witness.taken[writer].push(...deliveries),
      isReached: () => true,
      clock: fastClock(SPEED),
    });
    await checkStore(site.journal, witness, verdict);
    site.start();
    for (const sender of witness.senders) await goOn(site, sender, verdict);
    await drained(site);
    await checkBooks(site, verdict);
    await checkDeliveries(site, witness, verdict);
  } catch (error) {
    blame(
      verdict,
      'lost',
      Math.max(verdict.events, 1),
      `it does not go on: ${error instanceof Error ? (error.stack ?? '') : String(error)}`,
    );
  } finally {
    await site?.close();
  }
  return verdict;
}

/** Nothing is invented, nothing is missing between tail and head, and no cursor is beyond what is there. */
async function checkStore(journal: Journal, { senders }: JournalWitness, verdict: Verdict): Promise<void> {
  for (const what of journal.salvaged)
    if (verdict.events > 0 && !what.includes(TORN_END)) blame(verdict, 'wrongCounts', 1, `an undamaged store was salvaged: ${what}`);
  for (const lane of LANES) {
    for (let position = journal.tail(lane); position < journal.head(lane);) {
      const { entries, hole } = await journal.read(lane, position, 1024 * 1024);
      for (const entry of entries) {
        position = entry.position + 1;
        if (entry.kind !== 'accepted') continue;
        const sender = senders.find(({ series }) => series === entry.series);
        const isSent = sender && entry.seq <= sender.sent && Buffer.from(bytesOf(sender.tag, entry.seq)).equals(entry.bytes);
        if (!isSent) blame(verdict, 'wrongCounts', 1, `${lane}/${entry.position} was never sent`);
      }
      if (hole) blame(verdict, 'lost', hole.to - hole.from, `a hole in ${lane} from ${hole.from} to ${hole.to}`);
      position = hole?.to ?? position;
    }
  }
  for await (const { key, value } of journal.rows('feed:')) {
    const row = value as { lanes: Record<Lane, { cursor: number }> } | undefined;
    for (const lane of LANES) {
      const cursor = row?.lanes[lane].cursor ?? Infinity;
      if (cursor > journal.head(lane))
        blame(verdict, 'wrongCounts', 1, `the cursor of ${key} ${lane} is ${cursor}, its head ${journal.head(lane)}`);
    }
  }
}

/** The sender goes on behind what it was told is settled, up to what it had sent. */
async function goOn({ dispatch }: PowerSite, sender: SenderState, verdict: Verdict): Promise<void> {
  for (let after = sender.acked; after < sender.sent;) {
    const last = Math.min(after + BATCH, sender.sent);
    const reply = await dispatch.accept(batchOf(sender, after, last));
    if (reply.expected !== undefined) {
      blame(verdict, 'lost', after - reply.expected + 1, `${sender.tag} was told ${after} and is asked for ${reply.expected}`);
      return;
    }
    if (reply.settled > sender.sent)
      blame(verdict, 'wrongCounts', 1, `${sender.tag} is settled to ${reply.settled}, it sent ${sender.sent}`);
    after = Math.max(after, reply.settled);
  }
}

async function drained({ dispatch }: PowerSite): Promise<void> {
  const isDrained = async (): Promise<boolean> => {
    const { windows, writers, unannounced } = await dispatch.ledger();
    const isPending = writers.some(({ lanes }) => LANES.some((lane) => lanes[lane].pending > 0));
    return windows.open === 0 && unannounced === 0 && !isPending;
  };
  await until('all is delivered', isDrained, LIMIT_MS);
}

async function checkBooks({ dispatch, journal }: PowerSite, verdict: Verdict): Promise<void> {
  const ledger = await dispatch.ledger();
  blame(verdict, 'discrepancy', Math.abs(ledger.dedupDiscrepancy), 'accepted events that no entry counts');
  for (const { name, lanes } of ledger.writers)
    for (const lane of LANES) blame(verdict, 'discrepancy', Math.abs(lanes[lane].discrepancy), `the ledger of ${name} ${lane}`);
  blame(verdict, 'lost', ledger.lost, 'lost, says the ledger');
  blame(verdict, 'wrongCounts', ledger.rejected, 'rejected, says the ledger');
  const { checks } = await verifyLedger(journal, new AbortController().signal);
  for (const { name, expected, found } of checks) blame(verdict, 'discrepancy', Math.abs(expected - found), `the audit of ${name}`);
}

async function checkDeliveries({ dispatch }: PowerSite, { senders, taken }: JournalWitness, verdict: Verdict): Promise<void> {
  const ops = bookOf(taken.ops);
  for (const problem of ops.problems()) blame(verdict, 'wrongCounts', 1, `ops: ${problem}`);
  const byPlace = new Map(taken.ops.map(({ text, position }) => [`${laneOf(text)}/${position}`, text]));
  for (const name of WRITERS) {
    const book = name === 'ops' ? ops : bookOf(taken[name]);
    verdict.repeated += book.deliveries.length - new Set(book.deliveries.map(({ id }) => id)).size;
    if (name !== 'ops') checkRepeats(name, book, verdict);
    const added = new Map<string, number>();
    const count = (event: { message: string; added: number; type: string }): void => {
      if (!event.type.startsWith('fondaco.')) added.set(event.message, (added.get(event.message) ?? 0) + event.added);
    };
    book.events.forEach(count);
    if (name === 'picky') for await (const { letter } of dispatch.deadLetters(name)) if (letter) count(letter.event);
    if (name === 'away') for (const event of givenUp(ops, byPlace, book, verdict)) count(event);
    checkCounts(name, senders, added, verdict);
  }
}

/** Σ `added` of what looks the same is how often it was sent. */
function checkCounts(writer: string, senders: readonly SenderState[], added: ReadonlyMap<string, number>, verdict: Verdict): void {
  const expected = new Map<string, number>();
  for (const { tag, sent } of senders)
    for (let n = 1; n <= sent; n++) expected.set(messageOf(tag, n), (expected.get(messageOf(tag, n)) ?? 0) + 1);
  for (const [message, count] of expected) {
    const found = added.get(message) ?? 0;
    blame(verdict, 'lost', count - found, `${writer} has ${found} of ${message}`);
    blame(verdict, 'wrongCounts', found - count, `${writer} has ${found} of ${message}`);
  }
  for (const message of added.keys())
    if (!expected.has(message)) blame(verdict, 'wrongCounts', 1, `${writer} has ${message}, which nobody sent`);
}

/** Also what `away` had already begins another delivery series, where the events before it were given up before it was settled. */
function checkRepeats(writer: string, { deliveries, texts }: RecordBook, verdict: Verdict): void {
  const first = new Map<string, string>();
  for (const [i, { id }] of deliveries.entries()) {
    const text = writer === 'away' ? texts[i]!.slice(0, texts[i]!.lastIndexOf(',"delivery":')) : texts[i]!;
    if ((first.get(id) ?? text) !== text) blame(verdict, 'wrongCounts', 1, `${id} came again, but differs: ${first.get(id)} | ${text}`);
    first.set(id, text);
  }
}

/** What `away` was too late for, as the loss notices name it; not what it had all the same, and had not settled. */
function givenUp(book: RecordBook, byPlace: ReadonlyMap<string, string>, away: RecordBook, verdict: Verdict): Delivered[] {
  const events: Delivered[] = [];
  const had = new Set(away.deliveries.map(({ id }) => id));
  for (const { attributes } of book.own('fondaco.Loss')) {
    for (const { origin, cause, ranges } of (attributes as unknown as { losses: Loss[] }).losses) {
      const [writer, lane = ''] = origin.id.split('/');
      if (cause !== 'age' || writer !== 'away') blame(verdict, 'lost', 1, `a loss at ${origin.id}, ${cause}`);
      for (const [first, last] of ranges) events.push(...eventsAt(byPlace, lane, first, last).filter(({ id }) => !had.has(id)));
    }
  }
  return events;
}

function eventsAt(byPlace: ReadonlyMap<string, string>, lane: string, first: number, last: number): Delivered[] {
  const texts = Array.from({ length: last - first + 1 }, (_, at) => byPlace.get(`${lane}/${first + at}`));
  return texts.filter((text) => text !== undefined).map((text) => JSON.parse(text) as Delivered);
}

function bookOf(taken: readonly Seen[]): RecordBook {
  const book = new RecordBook();
  for (const { text } of taken) {
    book.texts.push(text);
    book.deliveries.push(JSON.parse(text) as Delivered);
  }
  return book;
}

function laneOf(text: string): string {
  return /"lane":"(\w+)","series":"[^"]*","seq":\d+}}$/.exec(text)?.[1] ?? '';
}
