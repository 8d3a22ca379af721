/**
 * `ledger verify`: the counts of /v1/ledger, added up here and not by the one that keeps them; and what the proxy counts when it reads its
 * whole journal (/v1/ledger/verify), against what its books say.
 */
import { LANES } from '../core/lane.ts';
import type { LaneLedger, Ledger } from '../dispatcher/ledger/ledger.ts';
import type { Verification } from '../dispatcher/ledger/ledger-verify.ts';
import { visible } from '../writers/console-line.ts';
import { askProxy, type Api } from './api.ts';
import { EXIT } from './exit.ts';
import { count, paint, plural, print, printJson } from './text.ts';

export interface LedgerCheck {
  readonly check: string;
  readonly isGood: boolean;
  /** The sum, with its numbers. */
  readonly message: string;
}

const FATES = ['delivered', 'folded', 'filtered', 'dead', 'expired', 'dropped', 'pending'] as const;

/** Reading a journal of some GiB takes its time. */
const COUNT_MS = 30 * 60_000;

/** Adds up, has counted, and prints every check. Exits 1 if one is wrong. Waits at most half an hour. */
export async function verifyLedger(api: Api, isJson: boolean): Promise<void> {
  const sums = ledgerChecks(await askProxy<Ledger>(api, '/v1/ledger', { needs: ['accepted', 'made', 'windows', 'writers'] }));
  if (process.stderr.isTTY) process.stderr.write('the proxy reads its whole journal …\r');
  const verification = await askProxy<Verification>(api, '/v1/ledger/verify', { timeoutMs: COUNT_MS, needs: ['checks', 'notChecked'] });
  if (process.stderr.isTTY) process.stderr.write('\u001b[K');
  const counted = { checks: verification.checks.map(countedCheck), notChecked: verification.notChecked };
  const checks = [...sums, ...counted.checks];
  const isGood = checks.every((check) => check.isGood);
  if (isJson) printJson({ isGood, checks, notChecked: counted.notChecked });
  else print(verifyScreen(sums, counted));
  if (!isGood) process.exitCode = EXIT.attention;
}

/** What the proxy counted, and what it could not and why. */
interface Counted {
  readonly checks: readonly LedgerCheck[];
  readonly notChecked: readonly string[];
}

const COUNTED = 'counted';

function countedCheck({ name, expected, found, isGood }: Verification['checks'][number]): LedgerCheck {
  const message = isGood ? `${name}: ${count(found)}` : `${name}: the books say ${count(expected)}, there are ${count(found)}`;
  return { check: COUNTED, isGood, message: visible(message) };
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
  const isAgreed = isBalanced === checks.every(({ isGood }) => isGood);
  return [...checks, { check: 'proxy', isGood: isAgreed, message: `it says that its books ${isBalanced ? 'balance' : 'do not balance'}` }];
}

type Part = readonly [number: number, name: string];

function sum(check: string, total: number, what: string, parts: readonly Part[]): LedgerCheck {
  const found = parts.reduce((all, [number]) => all + number, 0);
  const shown = parts.filter(([number]) => number !== 0).map(([number, name]) => `${count(number)} ${name}`);
  const left = what.includes('+') ? what : `${count(total)} ${what}`;
  const right = shown.length === 0 ? '0' : shown.join(' + ');
  const isGood = found === total;
  return { check, isGood, message: isGood ? `${left} = ${right}` : `${left} is not ${right}: ${count(total - found)} off` };
}

/** No count of anything is below zero, or a fraction. */
function impossible(check: string, lane: LaneLedger): LedgerCheck[] {
  return FATES.filter((fate) => !Number.isSafeInteger(lane[fate]) || lane[fate] < 0).map((fate) => ({
    check,
    isGood: false,
    message: `${fate} must be a count, got ${String(lane[fate])}`,
  }));
}

/** Sums each on a line; of what was counted one by one only what is wrong, and how many are right. */
export function verifyScreen(
  sums: readonly LedgerCheck[],
  { checks: counted, notChecked }: Counted = { checks: [], notChecked: [] },
): string {
  const right = counted.filter(({ isGood }) => isGood).length;
  const shown = [...sums, ...counted.filter(({ isGood }) => !isGood)];
  const width = Math.max(...shown.map(({ check }) => check.length), counted.length > 0 ? COUNTED.length : 0);
  const line = (isGood: boolean, check: string, message: string): string =>
    `${isGood ? paint('green', 'ok   ') : paint('red', 'WRONG')}  ${check.padEnd(width)}  ${message}`;
  const lines = shown.map(({ check, isGood, message }) => line(isGood, check, message));
  if (right > 0) lines.push(line(true, COUNTED, `${plural(right, 'count')} of the books against what is in the journal, one by one`));
  lines.push(...notChecked.map((what) => `-      ${COUNTED.padEnd(width)}  not ${visible(what)}`));
  const wrong = shown.filter(({ isGood }) => !isGood);
  return [...lines, '', verdict(wrong)].join('\n');
}

function verdict(wrong: readonly LedgerCheck[]): string {
  if (wrong.length === 0) return 'every count is right';
  if (wrong.every(({ check, message }) => check === COUNTED && isOfDamagedEntries({ name: message.split(': the books')[0]! })))
    return 'entries are damaged, and nothing else is wrong: whoever had not got them was told (fondaco.Loss); over when they are trimmed';
  return `${plural(wrong.length, 'count is', 'counts are')} wrong: a bug or a damaged store; please report it`;
}

/** Damage that nothing can put right, and that the proxy tells of by itself. */
export function isOfDamagedEntries({ name }: Pick<Verification['checks'][number], 'name'>): boolean {
  return name.endsWith(': damaged entries');
}
