import { setTimeout as wait } from 'node:timers/promises';
import { asError, isFondacoError } from '../core/errors.ts';
import type { ProxyStatus } from '../proxy/status.ts';
import { visible } from '../writers/console-line.ts';
import { askProxy, type Api } from './api.ts';
import { EXIT, ExitError } from './exit.ts';
import { age, bytes, count, cut, paint, plural, print, printJson, screenColumns, screenRows, type Screen } from './text.ts';
import { isTroubled, troubleLines, nextStep, writerTable, type WriterView } from './writer-view.ts';

export type StatusView = Omit<ProxyStatus, 'writers'> & { readonly writers: readonly WriterView[] };

/** What the screen cannot do without. */
export const STATUS_MEMBERS = ['accepted', 'inputs', 'journal', 'windows', 'writers'];
const WATCH_MS = 2000;

/** One screen for three in the morning. Exits 1 if anything is stuck or lost. */
export async function showStatus(api: Api, isJson: boolean): Promise<void> {
  const status = await askProxy<StatusView>(api, '/v1/status', { needs: STATUS_MEMBERS });
  if (isJson) printJson(status);
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

/** True if a writer does not deliver, something was lost, or the books do not balance. */
export function needsAttention({ isReady, isBalanced, lost, dropped, unreported, journal, writers, departed }: StatusView): boolean {
  const isTaking = isReady && !journal.isLow && journal.refusal === undefined;
  return !isTaking || !isBalanced || lost + dropped + unreported + departed.length > 0 || writers.some(isTroubled);
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
  const lines = [...head, '', ...table.split('\n')];
  const blocks = problemBlocks(status).map((block) => block.map((line) => cut(line, columns)));
  return [...lines, ...fitting(blocks, rows - lines.length - 1)].join('\n');
}

function headLines(status: StatusView): string[] {
  const { accepted, isBalanced, rejected, lost, dropped, unreported, windows, journal } = status;
  const alarm = (text: string, isWrong: boolean): string => (isWrong ? paint('red', text) : text);
  return [
    `site      ${visible(status.site)}    fondaco ${visible(status.version)}, up ${age(status.uptimeMs)} (since ${visible(status.startedAt)})`,
    `ingest    ${ingestText(status)}`,
    `accepted  ${count(accepted.urgent + accepted.normal)} events (${count(accepted.urgent)} urgent), ${count(status.acceptedSinceStart)} since the start${inputsText(status)}`,
    `rejected  ${count(rejected)}    ${alarm(`lost ${count(lost)}`, lost > 0)}    ${alarm(`dropped ${count(dropped)}`, dropped > 0)}` +
      (unreported > 0 ? `    ${alarm(`unreported ${count(unreported)}`, true)}` : ''),
    `journal   ${bytes(journal.bytes)} of ${bytes(journal.bytesMax)}${journal.isLow ? alarm(', THE DISK IS FULL', true) : ''}`,
    `ledger    ${isBalanced ? 'balanced' : alarm('DOES NOT BALANCE', true)}, ${plural(windows.open, 'open window')}`,
  ];
}

function ingestText({ isReady, journal }: StatusView): string {
  if (journal.refusal !== undefined) return paint('red', `NOTHING IS TAKEN: ${visible(journal.refusal)}`);
  return isReady ? 'ready' : paint('red', 'NOT READY: the journal takes nothing');
}

/** `: grpc 12, http 3 (1 rejected)`; of what came in since the start. */
function inputsText({ inputs }: StatusView): string {
  const used = inputs.filter(({ accepted, rejected }) => accepted + rejected > 0);
  const parts = used.map(
    ({ name, accepted, rejected }) => `${visible(name)} ${count(accepted)}${rejected > 0 ? ` (${count(rejected)} rejected)` : ''}`,
  );
  return parts.length === 0 ? '' : `: ${parts.join(', ')}`;
}

/** Each problem with what to type next, the worst first. */
function problemBlocks({ isReady, isBalanced, lost, dropped, unreported, journal, writers, departed }: StatusView): string[][] {
  const blocks: string[][] = [];
  if (journal.refusal !== undefined && !journal.isLow)
    blocks.push([
      `ingest: ${visible(journal.refusal)}; agents keep events in their spools`,
      `  ${step('mend what is behind, see below; or change backlog.whenFull, backlog.bytesMax or journal.bytesMax in the config')}`,
    ]);
  else if (!isReady || journal.isLow)
    blocks.push([
      'ingest: the disk is full or fails, agents keep events in their spools',
      `  ${step('fondaco doctor; the log of the proxy says why')}`,
    ]);
  if (!isBalanced) blocks.push(['the books do not balance: a bug, or a damaged store', `  ${step('fondaco ledger verify')}`]);
  if (lost > 0)
    blocks.push([
      `${plural(lost, 'event')} lost before the journal: the notices say which`,
      `  ${step('fondaco event list --type fondaco.Loss')}`,
    ]);
  if (dropped > 0)
    blocks.push([
      `${plural(dropped, 'event')} that a writer will never get: the notices say which`,
      `  ${step('fondaco ledger show; fondaco event list --type fondaco.Loss')}`,
    ]);
  if (unreported > 0) blocks.push([`${plural(unreported, 'recurrence')} that no summary counts`, `  ${step('fondaco ledger show')}`]);
  for (const { name, dead } of departed)
    blocks.push([
      `${visible(name)}: ${plural(dead, 'dead letter')} of a writer that the config no longer has`,
      `  ${step(`put it back to replay them, or fondaco dead-letter purge --all ${visible(name)}`)}`,
    ]);
  const troubled = writers.filter(isTroubled).sort((a, b) => rank(a) - rank(b));
  return [...blocks, ...troubled.map(writerBlock)];
}

function writerBlock(writer: WriterView): string[] {
  const todo = nextStep(writer);
  return [...troubleLines(writer), ...(todo === undefined ? [] : [`  ${step(todo)}`])];
}

const RANKS = ['refused', 'suspended', 'paused', 'delivering', 'retrying'];

function rank({ state }: WriterView): number {
  return RANKS.indexOf(state);
}

function step(text: string): string {
  return `${paint('bold', '→')} ${text}`;
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
