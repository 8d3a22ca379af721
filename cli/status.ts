import { LANES } from '../core/lane.ts';
import type { FeedStatus } from '../dispatcher/feed.ts';
import type { ProxyStatus } from '../proxy/status.ts';
import { visible } from '../writers/console-line.ts';
import { askProxy, type Api } from './api.ts';
import { EXIT } from './exit.ts';
import { age, count, print, printJson, table } from './text.ts';

/** One screen for three in the morning. Exits 1 if anything is stuck or lost. */
export async function showStatus(api: Api, isJson: boolean): Promise<void> {
  const status = await askProxy<ProxyStatus>(api, '/v1/status');
  if (isJson) printJson(status);
  else print(statusScreen(status));
  if (needsAttention(status)) process.exitCode = EXIT.attention;
}

/** True if a writer does not deliver, something was lost, or the books do not balance. */
export function needsAttention({ isReady, isBalanced, lost, dropped, unreported, writers }: ProxyStatus): boolean {
  return (
    !isReady || !isBalanced || lost + dropped + unreported > 0 || writers.some(({ state, dead }) => state !== 'delivering' || dead > 0)
  );
}

export function statusScreen(status: ProxyStatus): string {
  const { accepted } = status;
  const total = accepted.urgent + accepted.normal;
  const lines = [
    `site      ${status.site}    fondaco ${status.version}, up ${age(status.uptimeMs)} (since ${status.startedAt})`,
    `ingest    ${status.isReady ? 'ready' : 'NOT READY: the journal takes nothing'}`,
    `accepted  ${count(total)} events (${count(accepted.urgent)} urgent), ${count(status.acceptedSinceStart)} since the start`,
    `rejected  ${count(status.rejected)}`,
    `lost      ${status.lost === 0 ? '0' : `${count(status.lost)}: see the loss notices`}`,
    `dropped   ${status.dropped === 0 ? '0' : `${count(status.dropped)} that a writer will not get: see the loss notices`}`,
    `ledger    ${status.isBalanced ? 'balanced' : 'DOES NOT BALANCE: see fondaco ledger show'}`,
    '',
    status.writers.length === 0 ? 'no writers: events are kept, nothing is delivered' : writersTable(status.writers),
  ];
  return lines.join('\n');
}

function writersTable(writers: readonly FeedStatus[]): string {
  const rows = writers.map((writer) => {
    const { lanes } = writer;
    const oldest = Math.max(...LANES.map((lane) => (lanes[lane].pending > 0 ? lanes[lane].oldestAgeMs : 0)));
    const next = Math.min(...LANES.map((lane) => (lanes[lane].attempts > 0 ? lanes[lane].nextAttemptInMs : Infinity)));
    return [
      writer.name,
      writer.state,
      count(lanes.urgent.pending),
      count(lanes.normal.pending),
      oldest === 0 ? '-' : age(oldest),
      count(writer.dead),
      writer.state === 'suspended' ? 'resume it' : Number.isFinite(next) && writer.state !== 'delivering' ? age(next) : '-',
    ];
  });
  const errors = writers
    .filter(({ state, dead, lastError }) => (state !== 'delivering' || dead > 0) && lastError !== undefined)
    .map(lastError);
  const head = ['writer', 'state', 'urgent pending', 'normal pending', 'oldest', 'dead', 'next attempt'];
  return [table(head, rows, 2), ...(errors.length === 0 ? [] : ['', ...errors])].join('\n');
}

function lastError({ name, lastError }: FeedStatus): string {
  const { message = '', answer = '' } = lastError ?? {};
  const short = answer.length > 200 ? `${answer.slice(0, 200)}…` : answer;
  return `${name}: ${visible(message)}${short === '' ? '' : `\n  it answered: ${visible(short)}`}`;
}
