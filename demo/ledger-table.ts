import { ledgerScreen } from '../cli/ledger.ts';
import { count, table } from '../cli/text.ts';
import type { Ledger } from '../dispatcher/ledger/ledger.ts';
import type { RecorderLedger, RecorderStatus } from '../recorder/index.ts';
import { pendingOf } from './proxy-process.ts';
import type { SubscriberSums } from './subscriber.ts';

export interface FinalCounts {
  readonly agent: RecorderStatus | undefined;
  readonly ledger: Ledger | undefined;
  readonly sums: SubscriberSums | undefined;
}

const COLUMNS = ['recorded', 'settled', 'spooled', 'queued', 'dropped', 'rejected'] as const;

/** The books of a run, from the agent to the subscriber, and whether they balance. What could not be asked any more is said. */
export function finalLedger({ agent, ledger, sums }: FinalCounts): { readonly text: string; readonly isBalanced: boolean } {
  const isRecorderBalanced = agent === undefined || isBalancedRecorder(agent.ledger);
  const lines = ['', 'Ledger of the agent: what became of every event since it was started'];
  if (agent) {
    lines.push('', table(COLUMNS, [COLUMNS.map((column) => count(agent.ledger[column]))], 0), '');
    lines.push(isRecorderBalanced ? 'balanced' : 'DOES NOT BALANCE');
    if (agent.ledger.spooled > 0) lines.push(`What is spooled is sent at the next start; it is in ${agent.spool.directory ?? 'memory'}.`);
  } else lines.push('(the agent was not there to be asked)');
  lines.push('', 'Ledger of the proxy: per destination, since the first start in this folder', '');
  lines.push(ledger ? ledgerScreen(ledger) : '(the proxy was not there to be asked)');
  const pending = ledger ? pendingOf(ledger) : 0;
  if (pending > 0) lines.push(`What is pending is in the proxy's journal, and delivered at the next start.`);
  if (sums)
    lines.push(
      '',
      `The subscriber took ${count(sums.deliveries)} deliveries since it was started, ${count(sums.repeats)} of them repeats.`,
    );
  return { text: lines.join('\n'), isBalanced: isRecorderBalanced && (ledger?.isBalanced ?? true) };
}

/** recorded = settled + spooled + queued + dropped + rejected. */
export function isBalancedRecorder({ recorded, settled, spooled, queued, dropped, rejected }: RecorderLedger): boolean {
  return recorded === settled + spooled + queued + dropped + rejected;
}
