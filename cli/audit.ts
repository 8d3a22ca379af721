/** `fondaco audit`: holds a destination's own record against the numbers of its deliveries, and against what the proxy says of them. */
import { isFondacoError } from '../core/errors.ts';
import { readLines } from '../core/ndjson.ts';
import { readDeliveries, type DeliveryRecord as Expected } from '../dispatcher/feed/delivery-series.ts';
import { readLedger } from '../dispatcher/ledger/ledger.ts';
import { visible } from '../writers/console-line.ts';
import { askProxy, type Api } from './api.ts';
import { deliveriesOf } from './audit-lines.ts';
import { DeliveryRecord, NAMED_MAX } from './audit-record.ts';
import { auditScreen } from './audit-view.ts';
import { judge, type Verdict } from './audit-verdict.ts';
import { apiOptions, type ConnectionFlags } from './connection.ts';
import { EXIT, ExitError } from './exit.ts';
import { openInput } from './input.ts';
import { directoryOf, onView } from './journal-view.ts';
import { openProgress } from './progress.ts';
import { plural, print, printJson } from './text.ts';

export interface AuditFlags extends ConnectionFlags {
  /** Whose record it is; undefined: of whom it says. */
  readonly writer?: string;
  /** The data directory of a stopped proxy. */
  readonly data?: string;
  /** False: nobody is asked. */
  readonly proxy: boolean;
  readonly pruned?: boolean;
  readonly json?: boolean;
}

/** What was read. */
export interface AuditRecord {
  readonly files: readonly string[];
  readonly lines: number;
  readonly badLines: number;
  /** The first of them. */
  readonly bad: readonly { readonly place: string; readonly problem: string }[];
  readonly deliveries: number;
  readonly events: number;
}

/** What is printed. */
export type Audit = Omit<Verdict, 'notes'> & { readonly record: AuditRecord; readonly askedOf?: string; readonly notes: readonly string[] };

/** A line may hold a whole batch, of 64 MiB at most, as JSON. */
const LINE_BYTES_MAX = 256 * 1024 * 1024;
/** Bad lines that are told while reading. */
const TOLD_MAX = 20;

/**
 * Reads the files in this order, oldest first, stdin for none. Exits 1 if something is missing that nothing explains, out of order, or came
 * again with other bytes. Rejects with exit code 65 where there is no delivery in it, 66 where a file cannot be read; UNAVAILABLE where the
 * proxy that was named does not answer.
 */
export async function audit(files: readonly string[], flags: AuditFlags): Promise<void> {
  // Asked first: what is delivered by now must be in what is read after.
  const asked = await askBooks(flags);
  const { record, ...read } = await readRecord(files.length === 0 ? ['-'] : files, flags.writer);
  const writers = new Set([
    ...(flags.writer === undefined ? [] : [flags.writer]),
    ...[...record.lanes.values()].map(({ writer }) => writer),
  ]);
  const books = asked.books.filter(({ writer }) => writers.has(writer));
  const deliveries = [...record.lanes.values()].reduce((sum, lane) => sum + lane.deliveries, 0);
  if (deliveries === 0 && books.length === 0) {
    const hint = flags.writer === undefined ? '\n--writer NAME says whose record it is; then its proxy can say what must be in it.' : '';
    throw new ExitError(EXIT.badInput, `there is no delivery in ${read.files.join(', ')} (${plural(read.badLines, 'bad line')})${hint}`);
  }
  const verdict = judge(record, books, { isPruned: flags.pruned === true });
  const notes = [...asked.notes, ...verdict.notes];
  const result: Audit = {
    ...verdict,
    notes,
    record: { ...read, deliveries, events: record.events },
    ...(asked.of && { askedOf: asked.of }),
  };
  if (flags.json === true) printJson(result);
  else print(auditScreen(result));
  if (!result.isComplete) process.exitCode = EXIT.attention;
}

interface Asked {
  readonly books: readonly Expected[];
  readonly of?: string;
  readonly notes: readonly string[];
}

async function askBooks(flags: AuditFlags): Promise<Asked> {
  if (!flags.proxy) return { books: [], notes: [] };
  if (flags.data !== undefined) {
    const directory = await directoryOf(flags);
    const books = await onView(directory, async (journal) => {
      const names = (await readLedger(journal)).writers
        .map(({ name }) => name)
        .filter((name) => flags.writer === undefined || name === flags.writer);
      const all: Expected[] = [];
      for (const name of names) all.push((await readDeliveries(journal, name))!);
      return all;
    });
    return { books, of: directory, notes: noWriter(flags.writer, books) };
  }
  const api = apiOptions(flags, process.env);
  try {
    const books = await askProxyBooks(api, flags.writer);
    return { books, of: api.url, notes: noWriter(flags.writer, books) };
  } catch (error) {
    const isNamed = flags.api !== undefined || (process.env.FONDACO_API ?? '') !== '';
    if (isNamed || !isFondacoError(error, 'UNAVAILABLE')) throw error;
    return { books: [], notes: [`no proxy answers at ${api.url}: the record is judged alone (--api or --data names one)`] };
  }
}

async function askProxyBooks(api: Api, writer: string | undefined): Promise<Expected[]> {
  const { writers } = await askProxy<{ writers: { name: string }[] }>(api, '/v1/ledger', { needs: ['writers'] });
  const names = writers.map(({ name }) => name).filter((name) => writer === undefined || name === writer);
  const books: Expected[] = [];
  for (const name of names) {
    books.push(await askProxy<Expected>(api, `/v1/writers/${encodeURIComponent(name)}/deliveries`, { needs: ['writer', 'lanes'] }));
  }
  return books;
}

function noWriter(writer: string | undefined, books: readonly Expected[]): string[] {
  return writer !== undefined && books.length === 0 ? [`the proxy has no writer called ${writer}`] : [];
}

async function readRecord(
  files: readonly string[],
  only: string | undefined,
): Promise<Omit<AuditRecord, 'deliveries' | 'events'> & { record: DeliveryRecord }> {
  const record = new DeliveryRecord();
  const bad: { place: string; problem: string }[] = [];
  let [lines, badLines] = [0, 0];
  const names: string[] = [];
  const inputs = [];
  try {
    for (const file of files) inputs.push(await openInput(file)); // a name that is wrong is told before an hour of reading
    const progress = await openProgress(
      'reading',
      inputs.reduce((sum, { size = 0 }) => sum + size, 0),
      'bytes',
    );
    let before = 0;
    try {
      for (const { name, bytes, size = 0 } of inputs) {
        names.push(name);
        for await (const { number, text, problem, end } of readLines(bytes, LINE_BYTES_MAX)) {
          lines++;
          const place = `${name}:${number}`;
          const why = problem ?? takeLine(record, text, place, only);
          if (why !== undefined) {
            badLines++;
            if (bad.length < NAMED_MAX) bad.push({ place, problem: why });
            if (badLines <= TOLD_MAX) progress.above(() => process.stderr.write(`${visible(`${place}: ${why}`)}\n`));
          }
          if (lines % 1000 === 0) progress.update(before + end);
        }
        before += size;
      }
    } finally {
      progress.stop();
    }
  } finally {
    for (const input of inputs) await input.close();
  }
  if (badLines > TOLD_MAX) process.stderr.write(`… and ${plural(badLines - TOLD_MAX, 'more bad line')}\n`);
  return { record, files: names, lines, badLines, bad };
}

/** Undefined where the line is a good one. */
function takeLine(record: DeliveryRecord, text: string, place: string, only: string | undefined): string | undefined {
  const deliveries = deliveriesOf(text);
  if (typeof deliveries === 'string') return deliveries;
  const other = deliveries.find(({ writer }) => only !== undefined && writer !== only);
  if (other) return `a delivery must be one of ${only}, got one of ${other.writer}`;
  for (const delivery of deliveries) {
    const problem = record.add(delivery, place);
    if (problem !== undefined) throw new ExitError(EXIT.badInput, `${place}: ${problem}`);
  }
  return undefined;
}
