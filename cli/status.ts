import { setTimeout as wait } from 'node:timers/promises';
import { asError, isFondacoError } from '../core/errors.ts';
import type { ProxyStatus } from '../proxy/status.ts';
import { visible } from '../writers/console-line.ts';
import { askProxy, type Api } from './api.ts';
import { EXIT, ExitError } from './exit.ts';
import { age, bytes, count, cut, paint, plural, print, printJson, screenColumns, screenRows, type Screen } from './text.ts';
import { isTroubled, lesserPromise, troubleLines, nextSteps, step, warningTexts, writerTable, type WriterView } from './writer-view.ts';

/** `config`: of a proxy of this version. */
export type StatusView = Omit<ProxyStatus, 'writers' | 'config'> & {
  readonly writers: readonly WriterView[];
  readonly config?: ProxyStatus['config'];
};

/** What the screen cannot do without. */
export const STATUS_MEMBERS = ['accepted', 'inputs', 'journal', 'windows', 'writers'];
const WATCH_MS = 2000;
/** Lines on the screen; the others are in --json. */
const WARNINGS_MAX = 5;
/** For so long a loss is news: a person, or what watches this exit code, has heard of it by then. It is told for good. */
const NEWS_MS = 24 * 3_600_000;

/** One screen for three in the morning. Exits 1 if anything is stuck, or was lost in the last 24 h. */
export async function showStatus(api: Api, isJson: boolean): Promise<void> {
  const status = await askProxy<StatusView>(api, '/v1/status', { needs: STATUS_MEMBERS });
  if (isJson) printJson({ isWell: !needsAttention(status), problems: problemsOf(status), ...status });
  else print(statusScreen(status, process.stdout));
  if (needsAttention(status)) process.exitCode = EXIT.attention;
}

/** The same screen again and again, on a terminal, until Ctrl-C. Rejects with exit code 64 off a terminal. */
export async function watchStatus(api: Api): Promise<void> {
  const { stdout } = process;
  if (!stdout.isTTY) throw new ExitError(EXIT.usage, '--watch needs a terminal; without it status can be run again and again');
  const stop = new AbortController();
  const stopped = (): void => stop.abort();
  process.once('SIGINT', stopped).once('SIGTERM', stopped);
  while (!stop.signal.aborted) {
    const screen = await screenOrProblem(api, { ...screenOf(stdout), rows: stdout.rows - 1 });
    stdout.write(`\u001b[H${screen.replaceAll('\n', '\u001b[K\n')}\u001b[K\u001b[J\n`); // home, then line by line: no flicker
    await wait(WATCH_MS, undefined, { signal: stop.signal }).catch(() => undefined);
  }
}

function screenOf({ isTTY, columns, rows }: NodeJS.WriteStream): Screen {
  return { isTTY, columns, rows };
}

async function screenOrProblem(api: Api, screen: Screen): Promise<string> {
  try {
    return statusScreen(await askProxy<StatusView>(api, '/v1/status', { needs: STATUS_MEMBERS }), screen);
  } catch (error) {
    if (!isFondacoError(error, 'UNAVAILABLE') && !(error instanceof ExitError)) throw error;
    return isFondacoError(error) ? error.text : asError(error).message;
  }
}

/** True if a writer does not deliver, something was lost lately that nobody purged, or the books do not balance. */
export function needsAttention(status: StatusView): boolean {
  const { isReady, isBalanced, journal, writers, departed } = status;
  const isTaking = isReady && !journal.isLow && journal.refusal === undefined;
  return (
    !isTaking ||
    status.config?.problems !== undefined ||
    !isBalanced ||
    isLossNews(status) ||
    departed.length > 0 ||
    writers.some(isTroubled)
  );
}

/** True for a day after the last loss that was no purge. */
export function isLossNews(status: StatusView): boolean {
  return lossAgeMs(status) < NEWS_MS;
}

/** Since the last loss that was no purge, by the proxy's clock; Infinity without one. */
function lossAgeMs({ lostAt, startedAt, uptimeMs }: StatusView): number {
  if (lostAt === undefined) return Infinity;
  return Math.max(0, Date.parse(startedAt) + uptimeMs - Date.parse(lostAt));
}

/** `lost 1    dropped 5 (3 purged)    last loss 2 h 5 m ago`. */
export function lossText(status: StatusView): string {
  const { lost, dropped, purged, unreported } = status;
  const isNews = isLossNews(status);
  const alarm = (text: string, value: number): string => (isNews && value > 0 ? paint('red', text) : text);
  return [
    alarm(`lost ${count(lost)}`, lost),
    alarm(`dropped ${count(dropped)}`, dropped - purged) + (purged > 0 ? ` (${count(purged)} purged)` : ''),
    ...(unreported > 0 ? [alarm(`unreported ${count(unreported)}`, unreported)] : []),
    ...(status.lostAt === undefined ? [] : [`last loss ${age(lossAgeMs(status))} ago`]),
  ].join('    ');
}

/**
 * The screen as text, without an end. On a terminal it keeps to its columns, and for up to 8 writers to 24 rows: what does not fit of the
 * problems is counted, and `writer list` has it. Anywhere else nothing is cut.
 */
export function statusScreen(status: StatusView, screen: Screen = {}): string {
  const columns = screenColumns(screen);
  const rows = screenRows(screen);
  const { writers } = status;
  const head = headLines(status).map((line) => cut(line, columns));
  const table = writers.length === 0 ? 'no writers: events are kept, nothing is delivered' : writerTable(writers, columns);
  const lines = [...head, '', ...table.split('\n'), ...promiseLines(writers, columns), ...warningLines(writers, columns)];
  const blocks = problemBlocks(status).map((block) => block.map((line) => cut(line, columns)));
  return [...lines, ...fitting(blocks, rows - lines.length - 1)].join('\n');
}

/** A line for all writers whose deliveries are worth less than at least once; none where there are none. */
function promiseLines(writers: readonly WriterView[], columns: number): string[] {
  const lesser = writers.flatMap((writer) => {
    const promise = lesserPromise(writer);
    return promise === undefined ? [] : [`${visible(writer.name)} ${promise}`];
  });
  return lesser.length === 0 ? [] : ['', cut(`delivered is: ${lesser.join('; ')}`, columns)];
}

/** A line for each thing that a destination should have mended although it takes everything. */
function warningLines(writers: readonly WriterView[], columns: number): string[] {
  const lines = writers.flatMap(warningTexts).map((text) => cut(text, columns));
  return lines.length === 0 ? [] : ['', ...lines.slice(0, WARNINGS_MAX)];
}

function headLines(status: StatusView): string[] {
  const { accepted, isBalanced, rejected, windows, journal } = status;
  const alarm = (text: string, isWrong: boolean): string => (isWrong ? paint('red', text) : text);
  return [
    `site      ${visible(status.site)}    fondaco ${visible(status.version)}, up ${age(status.uptimeMs)} (since ${visible(status.startedAt)})`,
    `ingest    ${ingestText(status)}`,
    `accepted  ${count(accepted.urgent + accepted.normal)} events (${count(accepted.urgent)} urgent), ${count(status.acceptedSinceStart)} since the start${inputsText(status)}`,
    `rejected  ${count(rejected)}${rejected > 0 ? ' (fondaco event list --rejected)' : ''}    ${lossText(status)}`,
    `journal   ${bytes(journal.bytes)} of ${bytes(journal.bytesMax)}${journal.isLow ? alarm(', THE DISK IS FULL', true) : ''}`,
    `ledger    ${isBalanced ? 'balanced' : alarm('DOES NOT BALANCE', true)}, ${plural(windows.open, 'open window')}${asOfText(status)}`,
  ];
}

/** Of books that are not those of this moment. */
function asOfText({ booksAsOf }: StatusView): string {
  return booksAsOf === undefined ? '' : paint('red', `, AS OF ${visible(booksAsOf)}: the store cannot be read now`);
}

function ingestText({ isReady, journal }: StatusView): string {
  if (journal.refusal !== undefined) return paint('red', `NOTHING IS TAKEN: ${visible(journal.refusal)}`);
  return isReady ? 'ready' : paint('red', 'NOT READY: the journal takes nothing');
}

/** `: grpc 12 (1 rejected), http 3 (1 refused)`; of what came in since the start. */
function inputsText({ inputs }: StatusView): string {
  const parts = inputs
    .filter(({ accepted, rejected = 0, refused = 0 }) => accepted + rejected + refused > 0)
    .map(({ name, accepted, rejected = 0, refused = 0 }) => {
      const not = [...(rejected > 0 ? [`${count(rejected)} rejected`] : []), ...(refused > 0 ? [`${count(refused)} refused`] : [])];
      return `${visible(name)} ${count(accepted)}${not.length === 0 ? '' : ` (${not.join(', ')})`}`;
    });
  return parts.length === 0 ? '' : `: ${parts.join(', ')}`;
}

/** Something that needs somebody, and what to type next. */
interface ProblemView {
  /** The name of the writer that has it. */
  readonly writer?: string;
  readonly says: readonly string[];
  readonly steps: readonly string[];
}

function problemBlocks(status: StatusView): string[][] {
  return problemsOf(status).map(({ says, steps }) => [...says, ...steps.map((text) => `  ${step(text)}`)]);
}

/** The worst first. */
export function problemsOf(status: StatusView): ProblemView[] {
  const { isReady, isBalanced, journal, writers, departed } = status;
  const problems: ProblemView[] = [];
  const add = (says: string, todo: string): void => void problems.push({ says: [says], steps: [todo] });
  if (journal.refusal !== undefined && !journal.isLow) {
    const todo = 'mend what is behind, see below; or change backlog.whenFull, backlog.bytesMax or journal.bytesMax in the config';
    add(`ingest: ${visible(journal.refusal)}; agents keep events in their spools`, todo);
  } else if (!isReady || journal.isLow)
    add('ingest: the disk is full or fails, agents keep events in their spools', 'fondaco doctor; the log of the proxy says why');
  const { problems: mistakes = [], needsRestart = [], file } = status.config ?? {};
  if (mistakes.length > 0) {
    const says = [
      `config: ${visible(file ?? '')} is not in effect as it is now, what ran goes on`,
      ...mistakes.map((text) => `  ${visible(text)}`),
    ];
    problems.push({ says, steps: ['mend it, then fondaco config check; it is taken over by itself, or by SIGHUP'] });
  }
  if (needsRestart.length > 0) add(`config: ${needsRestart.map(visible).join(', ')}: changed, and not in effect yet`, 'restart the proxy');
  if (!isBalanced) add('the books do not balance: a bug, or a damaged store', 'fondaco ledger verify');
  if (isLossNews(status)) addLosses(status, add);
  for (const { name, dead } of departed) {
    const todo = `put it back to replay them, or fondaco dead-letter purge --all ${visible(name)}`;
    add(`${visible(name)}: ${plural(dead, 'dead letter')} of a writer that the config no longer has`, todo);
  }
  const troubled = writers.filter(isTroubled).sort((a, b) => rank(a) - rank(b));
  return [...problems, ...troubled.map((writer) => ({ writer: writer.name, says: troubleLines(writer), steps: nextSteps(writer) }))];
}

function addLosses({ lost, dropped, purged, unreported }: StatusView, add: (says: string, todo: string) => void): void {
  const unwanted = dropped - purged;
  if (lost > 0) add(`${plural(lost, 'event')} lost before the journal: the notices say which`, 'fondaco event list --type fondaco.Loss');
  if (unwanted > 0) {
    const todo = 'fondaco ledger show; fondaco event list --type fondaco.Loss';
    add(`${plural(unwanted, 'event')} that a writer will never get: the notices say which`, todo);
  }
  if (unreported > 0) add(`${plural(unreported, 'recurrence')} that no summary counts`, 'fondaco ledger show');
}

const RANKS = ['refused', 'suspended', 'paused', 'delivering', 'retrying'];

function rank({ state }: WriterView): number {
  return RANKS.indexOf(state);
}

/** Blank line, blocks; at most `rows` in all. */
function fitting(blocks: readonly string[][], rows: number): string[] {
  if (blocks.length === 0) return [];
  const lines = [''];
  for (const [i, block] of blocks.entries()) {
    const left = blocks.length - i;
    const reserve = left > 1 ? 1 : 0;
    if (lines.length + block.length + reserve > rows && i > 0) {
      lines.push(`… and ${plural(left, 'more problem')}: fondaco writer list`);
      break;
    }
    lines.push(...block);
  }
  return lines;
}
