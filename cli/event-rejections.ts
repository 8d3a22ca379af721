import { visible } from '../writers/console-line.ts';
import { askProxy, askProxyText, type Api } from './api.ts';
import type { EventListFlags } from './event.ts';
import { shortTime } from './event.ts';
import { EXIT, ExitError } from './exit.ts';
import { cut, plural, print, screenColumns, table, terminalJson } from './text.ts';

/** As /v1/rejections has it. */
export interface RejectionView {
  readonly number: number;
  readonly rejectedTime: string;
  readonly input: string;
  readonly id: string | null;
  readonly type: string;
  readonly source: { readonly node: string; readonly component: string };
  readonly reason: string;
}

interface Rejections {
  readonly rejections: readonly RejectionView[];
  readonly kept: number;
  readonly damaged?: number;
  readonly next?: string;
}

const REASON_COLUMNS_MIN = 30;
/** Filters of entries, which a rejected event never became. */
const NOT_HERE = ['minSeverity', 'lane', 'since', 'until'] as const;

/** Events that were rejected, newest first; what leads to older ones is on stderr. Rejects with exit code 64 for flags that do not go with it. */
export async function listRejections(api: Api, flags: EventListFlags): Promise<void> {
  const wrong = NOT_HERE.find((name) => flags[name] !== undefined);
  if (wrong !== undefined) {
    const flag = `--${wrong.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    throw new ExitError(EXIT.usage, `--rejected goes with --type, --node, --component, --limit and --before, got ${flag}`);
  }
  const { type, node, component, before, limit } = flags;
  const given = Object.entries({ type, node, component, before }).filter((pair): pair is [string, string] => pair[1] !== undefined);
  const path = `/v1/rejections?${new URLSearchParams([...given, ['limit', String(limit)]]).toString()}`;
  if (flags.json === true) {
    print(terminalJson(await askProxyText(api, path)));
    return;
  }
  const { rejections, damaged = 0, next } = await askProxy<Rejections>(api, path, { needs: ['rejections'] });
  print(rejections.length === 0 ? 'no rejected events' : rejectionTable(rejections, screenColumns()));
  if (damaged > 0) process.stderr.write(`damaged in the journal: ${plural(damaged, 'rejected event')}\n`);
  if (next !== undefined) process.stderr.write(`there are older ones: --before ${visible(next)}\n`);
  if (rejections.length > 0) process.stderr.write('the whole events: --json\n');
}

/** Reasons are cut so that a line fits into `columns`, if it can. */
export function rejectionTable(rejections: readonly RejectionView[], columns: number): string {
  const head = ['no', 'rejected (UTC)', 'input', 'type', 'source', 'reason', 'id'];
  const rows = rejections.map(({ number, rejectedTime, input, id, type, source, reason }) => [
    String(number),
    shortTime(rejectedTime),
    visible(input),
    visible(type) || '-',
    visible(`${source.node}/${source.component}`),
    visible(reason),
    visible(id ?? '-'),
  ]);
  const others = head.flatMap((_, column) => (column === 5 ? [] : [Math.max(...[head, ...rows].map((row) => row[column]!.length)) + 2]));
  const room = Math.max(REASON_COLUMNS_MIN, columns - others.reduce((sum, width) => sum + width, 0));
  return table(
    head,
    rows.map((row) => row.map((cell, column) => (column === 5 ? cut(cell, room) : cell))),
  );
}
