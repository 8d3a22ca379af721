/** `ledger verify`: the counts of /v1/ledger, added up here and not by the one that keeps them. */
import { LANES } from '../core/lane.ts';
import type { LaneLedger, Ledger } from '../dispatcher/ledger.ts';
import { visible } from '../writers/console-line.ts';
import { askProxy, type Api } from './api.ts';
import { EXIT } from './exit.ts';
import { count, paint, plural, print, printJson } from './text.ts';

export interface LedgerCheck {
  readonly check: string;
  readonly isRight: boolean;
  /** The sum, with its numbers. */
  readonly message: string;
}

const FATES = ['delivered', 'folded', 'filtered', 'dead', 'expired', 'dropped', 'pending'] as const;

/** Adds up and prints every sum. Exits 1 if one is wrong. */
export async function verifyLedger(api: Api, isJson: boolean): Promise<void> {
  const checks = ledgerChecks(await askProxy<Ledger>(api, '/v1/ledger'));
  const isRight = checks.every((check) => check.isRight);
  if (isJson) printJson({ isRight, checks });
  else print(verifyScreen(checks));
  if (!isRight) process.exitCode = EXIT.attention;
}

/** The sums that must be right at every commit. */
export function ledgerChecks(ledger: Ledger): LedgerCheck[] {
  const { accepted, added, windows, unreported, writers, isBalanced } = ledger;
  const total = accepted.urgent + accepted.normal;
  const checks = [
    sum('events', total, 'accepted', [
      [added, 'sent on'],
      [windows.held, 'held by open windows'],
      [unreported, 'in no summary'],
    ]),
  ];
  for (const { name, lanes } of writers) {
    for (const lane of LANES) {
      const { accepted: taken, made } = lanes[lane];
      const what = `${count(taken)} accepted + ${count(made)} made`;
      const parts = FATES.map((fate): Part => [lanes[lane][fate], fate]);
      checks.push(sum(`${visible(name)} ${lane}`, taken + made, what, parts));
      checks.push(...impossible(`${visible(name)} ${lane}`, lanes[lane]));
    }
  }
  // The proxy's own arithmetic, which status believes.
  const isAgreed = isBalanced === checks.every(({ isRight }) => isRight);
  return [...checks, { check: 'proxy', isRight: isAgreed, message: `it says that its books ${isBalanced ? 'balance' : 'do not balance'}` }];
}

type Part = readonly [number: number, name: string];

function sum(check: string, total: number, what: string, parts: readonly Part[]): LedgerCheck {
  const found = parts.reduce((all, [number]) => all + number, 0);
  const shown = parts.filter(([number]) => number !== 0).map(([number, name]) => `${count(number)} ${name}`);
  const left = what.includes('+') ? what : `${count(total)} ${what}`;
  const right = shown.length === 0 ? '0' : shown.join(' + ');
  const isRight = found === total;
  return { check, isRight, message: isRight ? `${left} = ${right}` : `${left} is not ${right}: ${count(total - found)} off` };
}

/** No count of anything is below zero, or a fraction. */
function impossible(check: string, lane: LaneLedger): LedgerCheck[] {
  return FATES.filter((fate) => !Number.isSafeInteger(lane[fate]) || lane[fate] < 0).map((fate) => ({
    check,
    isRight: false,
    message: `${fate} must be a count, got ${String(lane[fate])}`,
  }));
}

export function verifyScreen(checks: readonly LedgerCheck[]): string {
  const width = Math.max(...checks.map(({ check }) => check.length));
  const lines = checks.map(
    ({ check, isRight, message }) => `${isRight ? paint('green', 'ok   ') : paint('red', 'WRONG')}  ${check.padEnd(width)}  ${message}`,
  );
  const wrong = checks.filter(({ isRight }) => !isRight).length;
  const end =
    wrong === 0 ? 'every sum is right' : `${plural(wrong, 'sum is', 'sums are')} wrong: a bug or a damaged store; please report it`;
  return [...lines, '', end].join('\n');
}
