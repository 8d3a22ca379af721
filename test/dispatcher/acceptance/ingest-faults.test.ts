import { expect } from 'chai';
import fc from 'fast-check';
import type { Batch, BatchReply } from '../../../core/batch.ts';
import { isFondacoError } from '../../../core/errors.ts';
import { LANES } from '../../../core/lane.ts';
import { uuidText } from '../../../core/uuid.ts';
import { MemoryStorage, type WriteFate } from '../../../journal/memory-journal.ts';
import { readLedger } from '../../../dispatcher/ledger/ledger.ts';
import { CommitWatch } from '../../support/commit-watch.ts';
import { DispatchKit, failAfter } from '../../support/dispatch-kit.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { RuleSender } from '../../support/rule-sender.ts';
import { auditStore, decodeOf } from '../../support/store-audit.ts';

/** FONDACO_FAULT_RUNS=10000 for a long one. */
const RUNS = Number(process.env.FONDACO_FAULT_RUNS ?? 300);
const DEDUP_MS = 5000;
const SENDERS = 3;

type Step =
  | { kind: 'record'; sender: number; texts: number[] }
  | { kind: 'send'; sender: number; events: number; batches: number; isReplyLost: boolean }
  | { kind: 'fate'; fate: WriteFate; after: number }
  | { kind: 'time'; ms: number }
  | { kind: 'run' }
  | { kind: 'kill' }
  | { kind: 'link'; sender: number };

const sender = fc.nat(SENDERS - 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  // Few texts, so that much folds. Those from 8 on are critical, 11 is refused by acceptance.
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('record' as const), sender, texts: fc.array(fc.nat(11), { minLength: 1, maxLength: 8 }) }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('send' as const),
      sender,
      events: fc.integer({ min: 1, max: 5 }),
      batches: fc.integer({ min: 1, max: 3 }),
      isReplyLost: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('fate' as const),
      fate: fc.constantFrom('failed' as const, 'failed-but-stored' as const),
      after: fc.nat(2),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.constantFrom(60, 700, 2500, 6000) }) },
  { weight: 2, arbitrary: fc.constant<Step>({ kind: 'run' }) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: 'kill' }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('link' as const), sender }) },
);

class Run {
  readonly clock = new FakeClock();
  readonly storage = new MemoryStorage();
  readonly senders = Array.from({ length: SENDERS }, () => new RuleSender());
  readonly watch = new CommitWatch();
  kit!: DispatchKit;
  #texts = 0;

  async begin(): Promise<void> {
    let isOpen = false;
    const opening = this.#open().then(() => (isOpen = true));
    while (!isOpen) await Promise.race([opening, this.clock.advance(60)]); // a disk that fails meanwhile is waited out
  }

  async #open(): Promise<void> {
    for (;;) {
      try {
        this.kit = await DispatchKit.open({
          clock: this.clock,
          storage: this.storage,
          dedupMs: DEDUP_MS,
          windowsMax: 6, // fewer than there are texts: windows are closed early, too
          writers: { ops: {} },
          onCommit: (journal) => this.watch.look(this.storage, readLedger(journal)),
        });
        return;
      } catch (error) {
        if (!isFondacoError(error)) throw error; // the disk failed while it was opened: the supervisor starts it again
      }
    }
  }

  readonly accept = (batch: Batch): Promise<BatchReply> => {
    const isBad = (event: Uint8Array): boolean => Buffer.from(event).includes('text 11');
    return this.kit.dispatcher.accept({ ...batch, events: batch.events.map((event) => (isBad(event) ? event.subarray(1) : event)) });
  };

  async take(step: Step): Promise<void> {
    switch (step.kind) {
      case 'record':
        return void this.senders[step.sender]!.record(
          ...step.texts.map((text) => ({
            message: `text ${text}`,
            severity: text >= 8 ? 'critical' : 'info',
            traceparent: `t${this.#texts++}`,
          })),
        );
      case 'send': {
        const { events, batches, isReplyLost } = step;
        for (let i = 0; i < batches; i++) void this.senders[step.sender]!.send(this.accept, events, { isReplyLost });
        return;
      }
      case 'fate':
        return void failAfter(this.storage, step);
      case 'time':
        return this.clock.advance(step.ms);
      case 'run':
        return this.kit.settle();
      case 'kill':
        await this.kit.kill();
        for (const each of this.senders) each.reset();
        return this.begin();
      case 'link':
        this.senders[step.sender]!.reset();
    }
  }

  /** The disk is well again: everyone goes on until all is settled. */
  async finish(): Promise<void> {
    this.storage.fate = () => 'taken';
    for (let round = 0; !this.senders.every((each) => each.isSettled); round++) {
      if (round > 50) throw new Error('the senders must come to an end within 50 rounds');
      for (const each of this.senders) {
        each.reset();
        await each.send(this.accept, 1000);
      }
      await this.clock.advance(200);
    }
    await this.clock.advance(DEDUP_MS + 3000);
  }

  async check(): Promise<void> {
    await this.watch.end();
    const { entries, held, accepted } = auditStore(this.storage);
    const stored = new Map<string, number[]>();
    const texts = new Map<string, string>();
    for (const lane of LANES) {
      for (const entry of entries[lane].filter(({ kind }) => kind !== 'made')) {
        stored.set(entry.series, [...(stored.get(entry.series) ?? []), entry.seq]);
        texts.set(`${entry.series}-${entry.seq}`, decodeOf(entry).traceparent!);
      }
    }
    let rejected = 0;
    for (const { series, recorded, rejections } of this.senders) {
      const id = uuidText(series);
      const wanted = recorded.map((event, i) => [i + 1, event] as const).filter(([, event]) => event.message !== 'text 11');
      rejected += recorded.length - wanted.length;
      expect((stored.get(id) ?? []).sort((a, b) => a - b)).to.deep.equal(wanted.map(([seq]) => seq));
      for (const [seq, event] of wanted) expect(texts.get(`${id}-${seq}`)).to.equal(event.traceparent);
      expect(
        [...rejections.keys()].sort((a, b) => a - b),
        'every rejection was told',
      ).to.deep.equal(recorded.flatMap((event, i) => (event.message === 'text 11' ? [i + 1] : [])));
    }
    const ledger = await this.kit.ledger();
    expect(ledger.rejected).to.equal(rejected);
    expect(held, 'all windows have ended').to.equal(0);
    expect(accepted).to.equal(ledger.accepted.urgent + ledger.accepted.normal);
    const { taken } = this.kit.writer();
    for (const { event } of taken) if (event.revision > 0) expect(event.added).to.be.above(0);
  }
}

describe('ingest on a failing disk', function () {
  this.timeout(Math.max(60_000, RUNS * 200));

  it('loses nothing, stores nothing twice and balances at every commit, whatever the disk, the link and the process do', async () => {
    let commits = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const run = new Run();
        await run.begin();
        for (const each of steps) await run.take(each);
        await run.finish();
        await run.check();
        commits += run.watch.commits;
        await run.kit.stop();
      }),
      { numRuns: RUNS },
    );
    expect(commits / RUNS, 'commits looked at, per run').to.be.above(5);
  });
});
