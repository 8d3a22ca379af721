/** Judges its share of the cases in a process of its own, because a damaged store must not end one, and might. */
import { mkdirSync, mkdtempSync, rmSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seeded } from '../../support/seeded.ts';
import { KINDS, nameOf, type Damage } from './damage.ts';
import { JournalVictim } from './journal-victim.ts';
import { SpoolVictim } from './spool-victim.ts';
import { TablesVictim } from './tables-victim.ts';
import type { Verdict, Victim } from './verdict.ts';

export type VictimName = 'journal' | 'tables' | 'spool log' | 'spool tables';

export interface Order {
  readonly victim: VictimName;
  readonly bytesMin: number;
  readonly seed: number;
  /** Every so many bytes. */
  readonly stride: number;
  /** How often several are damaged at once. */
  readonly multiples: number;
  /** This worker of so many. */
  readonly share: readonly [number, number];
  /** Cases of the share that are done already, by an earlier process. */
  readonly from: number;
}

export interface Case {
  /** `several` for more than one. */
  readonly kind: Damage['kind'] | 'several';
  readonly damages: readonly Damage[];
}

export type Report =
  | { readonly total: number }
  | { readonly at: number; readonly kind: Case['kind']; readonly what: string }
  | { readonly at: number; readonly kind: Case['kind']; readonly what: string; readonly verdict: Verdict };

const AT_ONCE = 4;
/** Judging a store beyond it takes so much work that several at once would be late for their limits. */
const LARGE_BYTES = 1024 * 1024;
const SMALL_BYTES = process.env.FONDACO_EVERY_BYTE === '1' ? 32 * 1024 : 1024;
const SEVERAL = { min: 2, max: 8 };

function* casesOf({ seed, stride, multiples }: Order, sizes: ReadonlyMap<string, number>): Generator<Case> {
  const random = seeded(seed);
  const residue = Math.floor(random() * stride);
  const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  // A small file is never passed over, and in the long form all of its bytes have their turn: CURRENT, a manifest, the list of checked tables;
  // with FONDACO_EVERY_BYTE=1 those of a log of some kilobytes, too.
  const least = stride > 10_000 ? 1 : 4;
  for (const kind of KINDS) {
    for (const [file, size] of sizes) {
      const isWhole = size <= SMALL_BYTES && stride < 1000;
      const step = isWhole ? 1 : Math.max(1, Math.min(stride * (kind === 'sector' ? 4 : 1), Math.floor(size / least)));
      for (let at = residue % step; at < size; at += step) yield { kind, damages: [{ file, at, kind }] };
    }
  }
  const pick = (): Damage => {
    let at = Math.floor(random() * total);
    for (const [file, size] of sizes) {
      if (at < size) return { file, at, kind: KINDS[Math.floor(random() * KINDS.length)]! };
      at -= size;
    }
    throw new RangeError('a place must be in a file');
  };
  for (let n = 0; n < multiples; n++) {
    const count = SEVERAL.min + Math.floor(random() * (SEVERAL.max - SEVERAL.min + 1));
    yield { kind: 'several', damages: Array.from({ length: count }, pick) };
  }
}

async function work(order: Order): Promise<void> {
  const directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'fondaco-bytes-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  process.on('disconnect', () => process.exit(1));
  const victim = await make(order, directory);
  const cases = [...casesOf(order, victim.sizes)].filter((_, at) => at % order.share[1] === order.share[0]);
  tell({ total: cases.length });
  let next = order.from;
  const judge = async (): Promise<void> => {
    for (let at = next++; at < cases.length; at = next++) {
      const { kind, damages } = cases[at]!;
      const what = nameOf(damages);
      tell({ at, kind, what });
      const scratch = join(directory, `case-${at}`);
      mkdirSync(scratch);
      tell({ at, kind, what, verdict: await victim.judge(damages, scratch) });
      rmSync(scratch, { recursive: true, force: true });
    }
  };
  await Promise.all(Array.from({ length: order.bytesMin > LARGE_BYTES ? 1 : AT_ONCE }, judge));
  process.exit(0);
}

function make({ victim, bytesMin }: Order, directory: string): Promise<Victim> {
  if (victim === 'tables') return TablesVictim.make(directory, bytesMin);
  if (victim === 'journal') return JournalVictim.make(directory, bytesMin);
  return SpoolVictim.make(directory, bytesMin, victim === 'spool tables');
}

function tell(report: Report): void {
  process.send?.(report);
}

process.once('message', (order) => void work(order as Order));
