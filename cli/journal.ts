/** The journal of a stopped proxy. `check` and `export` read a view of its files and change nothing. */
import { readdir, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../core/clock.ts';
import type { Journal } from '../core/journal.ts';
import { LANES, perLane, type PerLane } from '../core/lane.ts';
import { Dispatcher } from '../dispatcher/dispatcher.ts';
import { History } from '../dispatcher/history/history.ts';
import { cutOff } from '../dispatcher/ledger/mend.ts';
import { verifyLedger, type Verification } from '../dispatcher/ledger/ledger-verify.ts';
import { eventView } from '../proxy/http/event-view.ts';
import { visible } from '../writers/console-line.ts';
import { confirm } from './confirm.ts';
import { EXIT } from './exit.ts';
import { inputLine } from './input-line.ts';
import { directoryOf, onView, openStore } from './journal-view.ts';
import { isOfDamagedEntries } from './ledger-verify.ts';
import { openOut, type Out } from './export-out.ts';
import { openProgress } from './progress.ts';
import { count, plural, print, printJson, table } from './text.ts';

export interface JournalFlags {
  /** The proxy's data directory. */
  readonly data?: string;
  readonly config?: string;
  readonly json?: boolean;
  readonly yes?: boolean;
  readonly out?: string;
  readonly forRecord?: boolean;
}

/** What a check found. */
interface JournalCheck {
  readonly directory: string;
  readonly isWhole: boolean;
  readonly lanes: PerLane<{ readonly first: number; readonly last: number; readonly entries: number; readonly missing: readonly string[] }>;
  /** Rows whose checksum is wrong. */
  readonly rows: readonly string[];
  /** What the database needed to be read, in words. */
  readonly database: readonly string[];
  readonly ledger: Verification;
}

const READ_BYTES = 1024 * 1024;
const ROWS = [
  'ledger',
  'ages',
  'series:',
  'rejection:',
  'rejected:',
  'window:',
  'feed:',
  'dead:',
  'loss:',
  'replay:',
  'delivery:',
  'outage:',
  'away:',
];

/** Reads every entry and every row. Exits 1 if anything is damaged or the books do not balance. Rejects UNAVAILABLE while a proxy has it. */
export async function checkJournal(flags: JournalFlags): Promise<void> {
  const directory = await directoryOf(flags);
  const check = await onView(directory, async (journal) => readAll(directory, journal));
  if (flags.json === true) printJson(check);
  else print(checkScreen(check));
  if (!check.isWhole) process.exitCode = EXIT.attention;
}

/** Writes every event that can be read as NDJSON, oldest first in each lane, urgent first. Exits 1 if some are missing. */
export async function exportJournal(flags: JournalFlags): Promise<void> {
  const directory = await directoryOf(flags);
  const out = await openOut(flags.out);
  try {
    const { events, missing } = await onView(directory, async (journal) => writeAll(journal, out, flags.forRecord === true));
    await out.end();
    process.stderr.write(
      `exported ${plural(events, 'event')}${flags.out === undefined ? '' : ` to ${flags.out}`}, ${count(missing)} cannot be read\n`,
    );
    if (missing > 0) process.exitCode = EXIT.attention;
  } catch (error) {
    await out.discard();
    throw error;
  }
}

/** Opens the store as a proxy would: puts right what is damaged, sets the evidence aside, and says what was done. */
export async function repairJournal(flags: JournalFlags): Promise<void> {
  const directory = await directoryOf(flags);
  const what = `This repairs the journal in ${directory}: what cannot be read is given up, and set aside beside it as evidence.`;
  if (flags.yes !== true && !(await confirm(what))) return;
  const journal = await openStore(directory, { isWitnessed: true });
  try {
    const clock = systemClock();
    const settings = { dedup: { intervalMs: 86_400_000, windowsMax: 10_000_000 }, urgent: 'critical', node: hostname() } as const;
    const dispatcher = await Dispatcher.open(journal, { clock, random: Math.random, ...settings });
    const done = [...dispatcher.mended];
    if (flags.json === true) printJson({ directory, done });
    else print(done.length === 0 ? `${directory}: there was nothing to repair` : done.map((line) => visible(line)).join('\n'));
  } finally {
    await journal.close();
  }
}

/** Gives the room of what was trimmed back to the file system. */
export async function compactJournal(flags: JournalFlags): Promise<void> {
  const directory = await directoryOf(flags);
  const before = await bytesIn(join(directory, 'db'));
  const journal = await openStore(directory, { isWitnessed: false });
  try {
    await journal.compact();
  } finally {
    await journal.close();
  }
  const after = await bytesIn(join(directory, 'db'));
  if (flags.json === true) printJson({ directory, bytesBefore: before, bytesAfter: after });
  else print(`${directory}: ${count(before)} bytes before, ${count(after)} after`);
}

async function readAll(directory: string, journal: Journal): Promise<JournalCheck> {
  const lanes = perLane(() => ({ first: 0, last: 0, entries: 0, missing: [] as string[] }));
  for (const lane of LANES) {
    const found = Object.assign(lanes[lane], { first: journal.tail(lane), last: journal.head(lane) - 1 });
    for (let at = found.first; at <= found.last;) {
      const { entries, hole } = await journal.read(lane, at, READ_BYTES);
      found.entries += entries.length;
      at = hole?.to ?? (entries.at(-1)?.position ?? found.last) + 1;
      if (hole) found.missing.push(hole.to - hole.from === 1 ? String(hole.from) : `${hole.from}-${hole.to - 1}`);
    }
  }
  const rows: string[] = [];
  for (const prefix of ROWS) for await (const { key, value } of journal.rows(prefix)) if (value === undefined) rows.push(key);
  const ledger = await verifyLedger(journal, AbortSignal.timeout(2 ** 31 - 1));
  const salvaged = journal.salvaged.map((text) => text.replace(/;? (what was given up|it is in) .*/, ''));
  const database = [...salvaged, ...(await cutOff(journal)).problems];
  const isWhole = rows.length === 0 && database.length === 0 && ledger.isGood && LANES.every((lane) => lanes[lane].missing.length === 0);
  return { directory, isWhole, lanes, rows, database, ledger };
}

async function writeAll(journal: Journal, out: Out, isForRecord: boolean): Promise<{ events: number; missing: number }> {
  const history = new History(journal, systemClock(), { budget: { bytes: Infinity, ms: Infinity } });
  const total = LANES.reduce((sum, lane) => sum + journal.head(lane) - journal.tail(lane), 0);
  const bar = await openProgress('exporting', out.isTerminal ? 0 : total, 'entries');
  let place: PerLane<number> = perLane((lane) => journal.tail(lane));
  let [events, missing, done] = [0, 0, 0];
  try {
    for (;;) {
      const next = await history.from(place);
      const items = isForRecord ? next.items.filter(({ entry }) => entry.kind !== 'made') : next.items;
      for (const item of items) {
        const line = isForRecord ? inputLine(item.event, item.entry.bytes) : eventView(item);
        if (!(await out.write(`${line}\n`))) return { events, missing };
      }
      events += items.length;
      done += next.items.length;
      missing += next.missing.reduce((sum, { first, last }) => sum + last - first + 1, 0);
      bar.update(done + missing);
      if (LANES.every((lane) => next.place[lane] === place[lane])) return { events, missing };
      place = next.place;
    }
  } finally {
    bar.stop();
  }
}

function checkScreen({ directory, isWhole, lanes, rows, database, ledger }: JournalCheck): string {
  const lines = LANES.map((lane) => {
    const { first, last, entries, missing } = lanes[lane];
    const gone = missing.length > 20 ? `${missing.slice(0, 20).join(', ')} and ${missing.length - 20} more` : missing.join(', ');
    return [lane, entries === 0 && last < first ? '-' : `${first}-${last}`, count(entries), gone === '' ? '-' : gone];
  });
  const bad = ledger.checks.filter(({ isGood }) => !isGood);
  const isHolesOnly = rows.length === 0 && database.length === 0 && bad.every(isOfDamagedEntries);
  return [
    `${directory}: ${isWhole ? 'whole' : 'DAMAGED'}`,
    '',
    table(['lane', 'positions', 'entries', 'missing'], lines, 4),
    ...(rows.length > 0 ? ['', `damaged rows: ${rows.map((row) => visible(row)).join(', ')}`] : []),
    ...(database.length > 0 ? ['', ...database.map((line) => visible(line))] : []),
    ...(bad.length > 0
      ? ['', ...bad.map(({ name, expected, found }) => `${name}: the books say ${count(expected)}, there are ${count(found)}`)]
      : []),
    '',
    isWhole
      ? 'the books balance'
      : isHolesOnly
        ? 'what is missing cannot be brought back: a proxy counts it, and tells the writers that had not got it; all else is whole'
        : 'a proxy that starts puts this right as far as it can, and tells what is lost; so does fondaco journal repair',
  ].join('\n');
}

async function bytesIn(directory: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(directory)) bytes += await stat(join(directory, name)).then(({ size }) => size, () => 0); // prettier-ignore
  return bytes;
}
