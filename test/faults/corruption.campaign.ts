/**
 * Bytes of a stopped store that are not what they were: of a proxy's store and of an agent's spool. At every k-th place of every file, and at each
 * of the small ones (FONDACO_EVERY_BYTE=1: also of the log of a proxy's store, a quarter of an hour more), a damaged copy is opened, drained,
 * judged and opened once more: what must survive does (layout.ts), what is missing is named, nothing false comes, the books balance, the
 * evidence is kept, the second opening finds nothing. And each byte of the tables of a proxy's store is damaged in each way, without an
 * opening (tables-victim.ts).
 */
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import type { Campaign, CampaignOrder, FaultRow } from './campaign.ts';
import type { Case, Order, Report, VictimName } from './corruption/worker.ts';
import type { Verdict } from './corruption/verdict.ts';

const KIB = 1024;
const WRONG_SHOWN = 3;

interface Plan {
  readonly victim: VictimName;
  readonly name: string;
  readonly bytesMin: number;
  readonly stride: Record<CampaignOrder['form'], number>;
  readonly multiples: Record<CampaignOrder['form'], number>;
}

const PLANS: readonly Plan[] = [
  {
    victim: 'journal',
    name: "a proxy's store",
    bytesMin: 230 * KIB,
    stride: { short: 15_013, long: 151 },
    multiples: { short: 4, long: 800 },
  },
  {
    victim: 'tables',
    name: 'tables as an opening looks at them',
    bytesMin: 230 * KIB,
    stride: { short: 997, long: 1 },
    multiples: { short: 0, long: 0 },
  },
  {
    victim: 'spool log',
    name: 'a spool in its log',
    bytesMin: 250 * KIB,
    stride: { short: 20_011, long: 211 },
    multiples: { short: 4, long: 400 },
  },
  {
    victim: 'spool tables',
    name: 'a spool in tables',
    bytesMin: 250 * KIB,
    stride: { short: 20_011, long: 211 },
    multiples: { short: 4, long: 400 },
  },
  {
    victim: 'journal',
    name: "a proxy's store of 4 MiB",
    bytesMin: 4096 * KIB,
    stride: { short: 0, long: 120_011 },
    multiples: { short: 0, long: 40 },
  },
];

const WHAT: Record<Case['kind'], string> = {
  flip: 'one bit flipped',
  zero: 'one byte zeroed',
  sector: '512 bytes zeroed',
  cut: 'the file cut',
  several: '2 to 8 of these at once',
};

const campaign: Campaign = {
  title: 'corrupted stores',
  repeats: 'a destination whose cursor lay in damaged bytes goes on at an older one; the events come again under the same ids',

  async *run({ form, seed, progress }: CampaignOrder): AsyncIterable<FaultRow> {
    const plans = PLANS.filter(({ stride }) => stride[form] > 0);
    for (const [index, plan] of plans.entries()) {
      const stride = plan.stride[form];
      const workers = form === 'short' ? 1 : availableParallelism();
      const tallies = new Map<Case['kind'], Tally>();
      const done = { cases: 0, total: 0 };
      await Promise.all(
        Array.from({ length: workers }, (_, worker) => {
          const { victim, bytesMin } = plan;
          const order = { victim, bytesMin, seed, stride, multiples: plan.multiples[form], share: [worker, workers] as const, from: 0 };
          return runShare(order, tallies, done, () => progress(index * 1000 + (1000 * done.cases) / done.total, plans.length * 1000));
        }),
      );
      for (const [kind, tally] of tallies) yield tally.row(rowName(plan.name, kind, stride));
    }
  },
};
export default campaign;

function rowName(name: string, kind: Case['kind'], stride: number): string {
  if (kind === 'several') return `${name}: ${WHAT[kind]}`;
  const step = stride * (kind === 'sector' ? 4 : 1);
  return `${name}: ${WHAT[kind]}, at ${step === 1 ? 'every byte' : `one byte in ${step.toLocaleString('en')}`}`;
}

type Sums = Pick<Writable<Verdict>, 'events' | 'lost' | 'repeated' | 'discrepancy' | 'beyond'>;
type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/** What one kind of damage cost so far. */
class Tally {
  #injected = 0;
  readonly #sum: Sums = { events: 0, lost: 0, repeated: 0, discrepancy: 0, beyond: 0 };
  readonly #wrong: string[] = [];
  #wrongs = 0;

  add(what: string, verdict: Verdict): void {
    this.#injected++;
    for (const key of Object.keys(this.#sum) as (keyof Sums)[]) this.#sum[key] += verdict[key];
    this.#wrongs += verdict.wrong.length;
    const said = [
      ...verdict.wrong,
      ...(verdict.lost > 0 ? [`${verdict.lost} lost without a word`] : []),
      ...(verdict.discrepancy > 0 ? ['books'] : []),
    ];
    if (said.length > 0 && this.#wrong.length < WRONG_SHOWN) this.#wrong.push(`${what}: ${said[0]}`);
  }

  row(fault: string): FaultRow {
    const { events, lost, repeated, discrepancy, beyond } = this.#sum;
    const row = { fault, injected: this.#injected, events, lost, repeated, wrongCounts: this.#wrongs, discrepancy, missed: this.#wrong };
    return beyond === 0 ? row : { ...row, measured: { 'events in the cut-off end of a log, of which nothing is left': beyond } };
  }
}

/** Until the share is done; a process that is ended by a damage is a wrong count, and another goes on behind it. */
async function runShare(
  order: Order,
  tallies: Map<Case['kind'], Tally>,
  done: { cases: number; total: number },
  moved: () => void,
): Promise<void> {
  const tallyOf = (kind: Case['kind']): Tally => tallies.get(kind) ?? tallies.set(kind, new Tally()).get(kind)!;
  let isCounted = false;
  for (let from = 0, isOver = false; !isOver;) {
    const open = new Map<number, { kind: Case['kind']; what: string }>();
    let total = 0;
    const child = fork(new URL('./corruption/worker.ts', import.meta.url), { execArgv: ['--import', 'tsx'] });
    child.on('message', (message) => {
      const report = message as Report;
      if ('total' in report) {
        total = report.total;
        if (!isCounted) done.total += total;
        isCounted = true;
      } else if ('verdict' in report) {
        open.delete(report.at);
        tallyOf(report.kind).add(report.what, report.verdict);
        done.cases++;
        moved();
      } else {
        from = Math.max(from, report.at + 1);
        open.set(report.at, report);
      }
    });
    child.send({ ...order, from });
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    isOver = code === 0;
    if (isOver) return;
    if (open.size === 0) throw new Error(`a worker must do its share, got exit code ${String(code)}`);
    const what = [...open.values()].map((each) => each.what).join(' | ');
    const { kind } = [...open.values()][0]!;
    tallyOf(kind).add(what, {
      events: 0,
      lost: 0,
      repeated: 0,
      discrepancy: 0,
      named: 0,
      beyond: 0,
      wrong: [`a process was ended, ${String(code)}`],
    });
  }
}
