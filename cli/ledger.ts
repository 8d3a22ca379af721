import { LANES } from '../core/lane.ts';
import type { Ledger } from '../dispatcher/ledger/ledger.ts';
import { visible } from '../writers/console-line.ts';
import { askProxy, type Api } from './api.ts';
import { EXIT } from './exit.ts';
import { count, print, printJson, table } from './text.ts';

const COLUMNS = ['accepted', 'made', 'delivered', 'folded', 'filtered', 'dead', 'expired', 'dropped', 'pending', 'discrepancy'] as const;

/** The books. Exits 1 if they do not balance. */
export async function showLedger(api: Api, isJson: boolean): Promise<void> {
  const ledger = await askProxy<Ledger>(api, '/v1/ledger', { needs: ['accepted', 'made', 'windows', 'writers'] });
  if (isJson) printJson(ledger);
  else print(ledgerScreen(ledger));
  if (!ledger.isBalanced) process.exitCode = EXIT.attention;
}

/** The books as a table, ending with whether they balance. */
export function ledgerScreen(ledger: Ledger): string {
  const { accepted, made, windows } = ledger;
  const rows = ledger.writers.flatMap(({ name, lanes }) =>
    LANES.map((lane) => [visible(name), lane, ...COLUMNS.map((column) => count(lanes[lane][column]))]),
  );
  return [
    `accepted ${count(accepted.urgent + accepted.normal)} events of agents, made ${count(made.urgent + made.normal)} of our own; ` +
      `rejected ${count(ledger.rejected)}, lost ${count(ledger.lost)}${ledger.purged > 0 ? `, purged ${count(ledger.purged)} (among dropped)` : ''}`,
    `counted in what was sent on ${count(ledger.added)}, held by ${count(windows.open)} open windows ${count(windows.held)}`,
    '',
    rows.length === 0 ? 'no writers' : table(['writer', 'lane', ...COLUMNS], rows, 2),
    '',
    ledger.isBalanced ? 'balanced' : 'DOES NOT BALANCE',
  ].join('\n');
}
