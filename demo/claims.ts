/** What `npm run demo` claims, each judged by what the subscriber wrote down or by the books, as a pure function of them. */
import type { Lane } from '../core/lane.ts';
import type { Ledger } from '../dispatcher/ledger/ledger.ts';
import type { RecorderLedger } from '../recorder/index.ts';
import { LOSS_TYPE } from './event-line.ts';
import { eventId, type ReceivedEvent } from './event-record.ts';
import { isBalancedRecorder } from './ledger-table.ts';

export interface Claim {
  readonly text: string;
  /** Why it does not hold. */
  readonly problem?: string | undefined;
}

/** Each of the recorded ids is among the events. */
export function allArrived(text: string, ids: readonly string[], events: readonly ReceivedEvent[]): Claim {
  const arrived = new Set(events.map(({ id }) => id));
  const missing = ids.filter((id) => !arrived.has(id));
  const problem = missing.length === 0 ? undefined : `${missing.length} of ${ids.length} are missing, the first is ${missing[0]!}`;
  return { text, problem };
}

/** Per series and lane the seqs of the first arrivals go up: the order in which they were recorded. `events` without repeats. */
export function inOrder(text: string, events: readonly ReceivedEvent[]): Claim {
  const last = new Map<string, { seq: number; id: string }>();
  for (const { id, data } of events) {
    const parsed = eventId(id);
    if (!parsed || data.revision > 0) continue;
    const key = `${parsed.series} ${data.delivery.lane}`;
    const before = last.get(key);
    if (before && before.seq >= parsed.seq) return { text, problem: `${id} came after ${before.id}` };
    last.set(key, { seq: parsed.seq, id });
  }
  return { text };
}

/** Each delivery series is numbered 1, 2, 3 … without a gap. */
export function noDeliveryGap(text: string, record: readonly ReceivedEvent[]): Claim {
  const last = new Map<string, number>();
  for (const { id, sequence, data } of record) {
    const seq = Number(sequence);
    const before = last.get(data.delivery.series) ?? 0;
    if (seq > before + 1) return { text, problem: `${id} has number ${seq} of its delivery series, the one before it has ${before}` };
    last.set(data.delivery.series, Math.max(before, seq));
  }
  return { text };
}

/** The first of the events is the one with this id, in this lane. */
export function cameFirst(text: string, id: string, lane: Lane, events: readonly ReceivedEvent[]): Claim {
  const [first] = events;
  if (!first) return { text, problem: 'nothing came' };
  if (first.id !== id) return { text, problem: `the first was ${first.id} (${first.severitytext}: ${first.data.message})` };
  const { lane: came } = first.data.delivery;
  return { text, problem: came === lane ? undefined : `it came in the ${came} lane` };
}

/** `count` equal events came as two deliveries: the first at once, and one summary with the exact count. `storm`: the events of that type. */
export function foldedExactly(text: string, count: number, storm: readonly ReceivedEvent[]): Claim {
  const sum = storm.reduce((total, { data }) => total + data.added, 0);
  if (sum !== count) return { text, problem: `they add up to ${sum}, not ${count}` };
  const [first, summary, ...more] = storm.map(({ data }) => data);
  if (more.length > 0 || !summary) return { text, problem: `they came as ${storm.length} deliveries, not as a first and one summary` };
  const isExact = first?.revision === 0 && first.count === 1 && summary.revision === 1 && summary.count === count;
  return { text, problem: isExact ? undefined : `the summary counts ${summary.count} in revision ${summary.revision}` };
}

/** Σ `added` over what arrived is what was recorded. `events` without repeats. */
export function addsUp(text: string, recorded: number, events: readonly ReceivedEvent[]): Claim {
  const sum = events.reduce((total, { data }) => total + data.added, 0);
  return { text, problem: sum === recorded ? undefined : `they add up to ${sum}, not ${recorded}` };
}

export function noLosses(text: string, record: readonly ReceivedEvent[]): Claim {
  return { text, problem: record.find(({ type }) => type === LOSS_TYPE)?.data.message };
}

/** Everything is settled or, while no proxy answers, on disk; nothing is dropped or rejected. */
export function recorderBalances(text: string, ledger: RecorderLedger): Claim {
  const { dropped, rejected, queued } = ledger;
  const isSafe = dropped === 0 && rejected === 0 && queued === 0;
  return { text, problem: isSafe && isBalancedRecorder(ledger) ? undefined : JSON.stringify(ledger) };
}

/** accepted + made = delivered + folded, at every writer and lane, with nothing in any other column. */
export function proxyBalances(text: string, recorded: number, ledger: Ledger): Claim {
  const { accepted, rejected, lost } = ledger;
  const total = accepted.urgent + accepted.normal;
  if (total !== recorded) return { text, problem: `${total} were accepted, ${recorded} recorded` };
  if (!ledger.isBalanced) return { text, problem: `a discrepancy: ${JSON.stringify(ledger)}` };
  if (rejected + lost > 0) return { text, problem: `${rejected} were rejected, ${lost} lost` };
  for (const { name, lanes } of ledger.writers) {
    for (const [lane, { filtered, dead, expired, dropped, pending }] of Object.entries(lanes)) {
      const other = { filtered, dead, expired, dropped, pending };
      if (Object.values(other).some((count) => count !== 0)) return { text, problem: `${name}, ${lane} lane: ${JSON.stringify(other)}` };
    }
  }
  return { text };
}
