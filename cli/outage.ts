/** `fondaco outage list`: when destinations were away, and what that cost. */
import { readOutages, type KeptOutage, type OpenOutageView } from '../dispatcher/feed/outage-rows.ts';
import { visible } from '../writers/console-line.ts';
import { askProxy } from './api.ts';
import { apiOptions, type ConnectionFlags } from './connection.ts';
import { query } from './event-view.ts';
import { directoryOf, onView } from './journal-view.ts';
import { age, count, cut, plural, print, printJson, screenColumns, table } from './text.ts';

export interface OutageListFlags extends ConnectionFlags {
  readonly writer?: string;
  readonly limit: number;
  /** The data directory of a stopped proxy. */
  readonly data?: string;
  readonly json?: boolean;
}

type OutageView = KeptOutage | OpenOutageView;

interface OutagePage {
  readonly outages: readonly OutageView[];
  readonly more: number;
}

const HEAD = ['writer', 'from (UTC)', 'lasted', 'waited', 'folded', 'lost', 'dead', 'to come', 'reason'];

/** Those under way first, then the latest. Rejects with exit code 66 where there is no journal, UNAVAILABLE where no proxy answers. */
export async function listOutages(flags: OutageListFlags): Promise<void> {
  const page = flags.data === undefined ? await ask(flags) : await read(flags);
  if (flags.json === true) {
    printJson(page);
    return;
  }
  print(outageList(page.outages, screenColumns()));
  if (page.more > 0) process.stderr.write(`… and ${plural(page.more, 'older outage')}: --limit shows more\n`);
}

async function ask({ writer, limit, ...flags }: OutageListFlags): Promise<OutagePage> {
  return askProxy<OutagePage>(apiOptions(flags, process.env), `/v1/outages${query({ writer, limit })}`, { needs: ['outages'] });
}

async function read({ writer, limit, ...flags }: OutageListFlags): Promise<OutagePage> {
  return onView(await directoryOf(flags), async (journal) => readOutages(journal, { writer, limit, now: Date.now() }));
}

/** A line each; the reason takes what is left of a terminal's columns. */
export function outageList(outages: readonly OutageView[], columns: number): string {
  if (outages.length === 0) return 'no outages of more than a minute';
  return table(HEAD, outages.map(cells), 9)
    .split('\n')
    .map((line) => cut(line, columns))
    .join('\n');
}

function cells(outage: OutageView): string[] {
  const { writer, from, durationMs, lost, dead, reason } = outage;
  const gone = lost.expired + lost.dropped + lost.corrupt;
  const told =
    'isOpen' in outage
      ? ['-', '-', count(gone), count(dead), 'away']
      : [count(outage.deliveries), count(outage.folded), count(gone), count(dead), toCome(outage)];
  return [writer, from.replace('T', ' ').slice(0, 19), age(durationMs), ...told, reason].map((text) => visible(text));
}

/** As it was when the writer came back. */
function toCome({ toCome: { urgent, normal }, toComeMs }: KeptOutage): string {
  if (urgent + normal === 0) return '0';
  return `${count(urgent + normal)} (${toComeMs === null ? 'for ever' : age(toComeMs)})`;
}
