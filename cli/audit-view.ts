/** An audit, for people. */
import { visible } from '../writers/console-line.ts';
import type { Audit } from './audit.ts';
import type { Gap } from './audit-verdict.ts';
import { count, plural, table } from './text.ts';

/** Of each kind, so many are shown; --json has more. */
const SHOWN_MAX = 20;
const HEAD = ['writer', 'lane', 'deliveries', 'repeats', 'missing', 'explained', 'out of order', 'changed'];
const WHERE: Readonly<Record<Gap['where'], string>> = {
  all: 'nothing of this series is there',
  beginning: 'before what is there of this series',
  middle: '',
  end: 'behind the last that is there of this series: the proxy has delivered it',
};

/** What was read, the counts, and what was found, the worst first. */
export function auditScreen(audit: Audit): string {
  const { record, lanes, missing, explained, outOfOrder, changed, givenUp, lostBefore, notes } = audit;
  const total = (of: 'missing' | 'explained' | 'outOfOrder' | 'changed' | 'before'): number =>
    lanes.reduce((sum, lane) => sum + lane[of], 0);
  const rows = lanes.map((lane) => [
    lane.writer,
    lane.lane,
    ...[lane.deliveries, lane.repeats, lane.missing, lane.explained, lane.outOfOrder, lane.changed].map((value) => count(value)),
  ]);
  const found = [
    ...shown(missing, missing.length, ({ place, ...gap }) => `MISSING       ${gapText(gap)}${placeText(place)}`),
    ...shown(
      changed,
      total('changed'),
      ({ place, ...each }) => `CHANGED       ${numberText(each)}: came again with other bytes, at ${place}`,
    ),
    ...shown(outOfOrder, outOfOrder.length, ({ place, after, ...each }) => `OUT OF ORDER  ${numberText(each)} after ${after}, at ${place}`),
    ...shown(explained, explained.length, ({ place, ...gap }) => `explained     ${gapText(gap)}: dead letters${placeText(place)}`),
    ...shown(givenUp, givenUp.length, ({ writer, lane, after, cause, entries }) => {
      return `given up      ${writer} ${lane} behind ${after}: ${plural(entries, 'entry', 'entries')} (${cause})`;
    }),
    ...lostBefore.map(({ cause, count: lost }) => `lost before   ${plural(lost, 'event')} (${cause}), as the notices in it say`),
    ...(total('before') > 0 ? [`before        ${plural(total('before'), 'delivery', 'deliveries')} from before the record begins`] : []),
    ...notes.map((note) => `note          ${note}`),
  ];
  const bad = record.badLines > 0 ? ` (${count(record.badLines)} bad)` : '';
  const lines = [
    `record  ${record.files.join(', ')}: ${plural(record.lines, 'line')}${bad}, ` +
      `${plural(record.deliveries, 'delivery', 'deliveries')} that stand for ${plural(record.events, 'event')}`,
    `proxy   ${audit.askedOf ?? 'not asked'}`,
    '',
    ...table(HEAD, rows, 2).split('\n'),
    '',
    ...found,
    ...(found.length > 0 ? [''] : []),
    verdictText(audit, total('missing'), total('outOfOrder') + total('changed')),
  ];
  return lines.map((line) => visible(line)).join('\n');
}

function verdictText({ isComplete, isJudgedByProxy }: Audit, missing: number, wrong: number): string {
  if (isComplete) {
    const proof = isJudgedByProxy ? 'everything that was delivered is there' : 'no gap in the numbers; only the proxy knows where they end';
    return `complete: ${proof}, in order`;
  }
  const parts = [
    ...(missing > 0 ? [`${plural(missing, 'delivery is', 'deliveries are')} missing without an explanation`] : []),
    ...(wrong > 0 ? [`${plural(wrong, 'delivery is', 'deliveries are')} out of order or changed`] : []),
  ];
  return `NOT COMPLETE: ${parts.join('; ')}`;
}

function gapText({ writer, lane, series, first, last, count: numbers, where }: Omit<Gap, 'place'>): string {
  const range = first === last ? String(first) : `${first}-${last} (${count(numbers)})`;
  return `${writer} ${lane} ${series} ${range}${WHERE[where] === '' ? '' : `, ${WHERE[where]}`}`;
}

function numberText({ writer, lane, series, seq }: { writer: string; lane: string; series: string; seq: number }): string {
  return `${writer} ${lane} ${series} ${seq}`;
}

function placeText(place: string | undefined): string {
  return place === undefined ? '' : `, before ${place}`;
}

function shown<T>(all: readonly T[], total: number, text: (one: T) => string): string[] {
  const lines = all.slice(0, SHOWN_MAX).map((each) => text(each));
  return total > lines.length ? [...lines, `              … and ${count(total - lines.length)} more (--json has the first 100)`] : lines;
}
