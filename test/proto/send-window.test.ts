import { assert } from 'chai';
import fc from 'fast-check';
import type { Batch, BatchReply, LostRange } from '../../core/batch.ts';
import { uuidBytes, uuidV7 } from '../../core/uuid.ts';
import { SendWindow } from '../../proto/send-window.ts';
import { ReceiverModel } from '../support/receiver-model.ts';

const SERIES = uuidBytes('0199e0c4-7b1e-7abc-8def-0123456789ab')!;
const ID = '0199e0c4-7b1e-7abc-8def-0123456789ab';
const J1 = '0199e0c4-0000-7000-8000-000000000001';
const window = (): SendWindow => new SendWindow({ series: SERIES, lane: 'normal' });
const reply = (fields: Partial<BatchReply>): BatchReply => ({ series: SERIES, settled: 0, journal: J1, rejections: [], ...fields });

describe('proto/send-window', () => {
  it('goes on after what is on its way, and names the journal once something is settled', () => {
    const sender = window();
    assert.deepEqual(sender.send(10), { after: 0, settled: 0, settledBy: '', isGone: false });
    assert.deepEqual(sender.send(20), { after: 10, settled: 0, settledBy: '', isGone: false });
    assert.strictEqual(sender.reply(reply({ settled: 10 })), 'settled');
    assert.deepEqual(sender.send(30), { after: 20, settled: 10, settledBy: J1, isGone: false });
    assert.deepInclude({ settled: sender.settled, sent: sender.sent }, { settled: 10, sent: 30 });
  });

  it('goes back once for a refused batch followed by a pipelined one', () => {
    const sender = window();
    for (const last of [10, 20, 30]) sender.send(last);
    assert.strictEqual(sender.reply(reply({ throttleMs: 100 })), 'throttled');
    assert.strictEqual(sender.sent, 0);
    sender.send(10);
    assert.strictEqual(sender.reply(reply({ expected: 1 })), 'stale');
    assert.strictEqual(sender.reply(reply({ expected: 1 })), 'stale');
    assert.strictEqual(sender.sent, 10);
    assert.strictEqual(sender.reply(reply({ settled: 10 })), 'settled');
  });

  it('sends again after a lost reply, and takes what the receiver knew already', () => {
    const sender = window();
    sender.send(10);
    sender.send(20);
    sender.reset();
    assert.deepEqual(sender.send(5), { after: 0, settled: 0, settledBy: '', isGone: false });
    sender.reply(reply({ settled: 20 }));
    assert.deepInclude({ settled: sender.settled, sent: sender.sent }, { settled: 20, sent: 20 });
  });

  it('says gone when the receiver was restored from an older copy, until that was taken', () => {
    const sender = window();
    sender.send(50);
    sender.reply(reply({ settled: 50 }));
    sender.send(60);
    sender.send(70);
    assert.strictEqual(sender.reply(reply({ expected: 31 })), 'rewound');
    assert.strictEqual(sender.reply(reply({ expected: 31 })), 'stale');
    assert.deepEqual(sender.send(60), { after: 50, settled: 50, settledBy: J1, isGone: true });
    assert.strictEqual(sender.reply(reply({ throttleMs: 5 })), 'throttled');
    assert.deepEqual(sender.send(60), { after: 50, settled: 50, settledBy: J1, isGone: true });
    sender.reply(reply({ settled: 60 }));
    assert.isFalse(sender.send(70).isGone);
  });

  it('takes any answer to its last batch for a goodbye', () => {
    const sender = window();
    sender.send(5);
    sender.reply(reply({ settled: 5 }));
    sender.send(5, { isClosing: true });
    assert.strictEqual(sender.reply(reply({ expected: 1 })), 'closed');
    assert.isTrue(sender.isClosed);
  });

  it('never believes more to be settled than was sent', () => {
    const sender = window();
    sender.send(5);
    sender.reply(reply({ settled: 500 }));
    assert.strictEqual(sender.settled, 5);
  });

  const broken: [what: string, answer: Partial<BatchReply>][] = [
    ['expects what lies ahead', { expected: 12 }],
    ['settles less than it was told', { settled: 3 }],
    ['names no journal', { settled: 12, journal: '' }],
  ];
  for (const [what, answer] of broken) {
    it(`gives up a link whose proxy ${what}`, () => {
      const sender = window();
      sender.send(10);
      sender.reply(reply({ settled: 10 }));
      sender.send(12);
      assert.throws(() => sender.reply(reply(answer)), /^\[UNAVAILABLE\] the proxy's reply must be/);
    });
  }

  it('gives up a link that answers more often than it was asked', () => {
    assert.throws(() => window().reply(reply({ settled: 1 })), /UNAVAILABLE/);
  });

  it('skips nothing, sends nothing twice into a journal, and names what is missing, whatever happens on the way', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 80 }), fc.boolean(), (steps, hasTwo) => {
        const run = new Run();
        for (const { does, n } of steps) if (hasTwo || does !== 'switchTo') run[does](n);
        run.finish();
        run.check();
      }),
      { numRuns: 500 },
    );
  });
});

const DEEDS = [
  'record',
  'record',
  'send',
  'send',
  'send',
  'deliver',
  'deliver',
  'answer',
  'answer',
  'throttle',
  'fail',
  'restore',
  'switchTo',
  'lose',
] as const;
const step = fc.record({ does: fc.constantFrom(...DEEDS), n: fc.nat(6) });

/** A sender with SendWindow, two receivers that keep the rules, and a link between that loses what it likes. */
class Run {
  readonly #window = window();
  readonly #receivers = [new ReceiverModel(), new ReceiverModel()];
  /** Seqs of the first receiver that a restore took away after they had been settled. */
  readonly #restored = new Set<number>();
  #receiver = 0;
  #hasSwitched = false;
  #last = 0;
  #lost: LostRange[] = [];
  #toProxy: Batch[] = [];
  #toSender: BatchReply[] = [];

  constructor() {
    for (const receiver of this.#receivers) receiver.journal = uuidV7(0);
  }

  record(n: number): void {
    this.#last += n + 1;
  }

  /** The sender drops what it holds unsent. */
  lose(n: number): void {
    const first = Math.max(this.#window.sent, this.#lost.at(-1)?.last ?? 0) + 1;
    if (first <= this.#last) this.#lost.push({ first, last: Math.min(first + n, this.#last), cause: 'memory-full' });
  }

  send(n: number): void {
    const { sent } = this.#window;
    if (sent >= this.#last || this.#window.inFlight > 8) return;
    let last = Math.min(sent + n + 1, this.#last);
    const lost: LostRange[] = [];
    for (const range of this.#lost) {
      if (range.last <= sent || range.first > last + 1) continue;
      lost.push({ ...range, first: Math.max(range.first, sent + 1) });
      last = Math.max(last, range.last);
    }
    const events: Buffer[] = [];
    for (let seq = sent + 1; seq <= last; seq++)
      if (!lost.some((range) => range.first <= seq && seq <= range.last)) events.push(Buffer.from(`${seq}`));
    const header = this.#window.send(last);
    this.#toProxy.push({ series: SERIES, lane: 'normal', lost, events, isClosing: false, sender: { node: '', component: '' }, ...header });
  }

  deliver(): void {
    const batch = this.#toProxy.shift();
    if (batch) this.#toSender.push(this.#receivers[this.#receiver]!.take(batch));
  }

  throttle(): void {
    const batch = this.#toProxy.shift();
    if (batch) this.#toSender.push(reply({ throttleMs: 1, journal: this.#receivers[this.#receiver]!.journal }));
  }

  answer(): void {
    const answered = this.#toSender.shift();
    if (answered) this.#window.reply(answered);
  }

  /** The link breaks: what was on its way is lost, in either direction. */
  fail(): void {
    this.#toProxy = [];
    this.#toSender = [];
    this.#window.reset();
  }

  switchTo(): void {
    this.fail();
    this.#receiver = 1 - this.#receiver;
    this.#hasSwitched = true;
  }

  /** The proxy comes back with an older copy of its journal. */
  restore(n: number): void {
    this.fail();
    const receiver = this.#receivers[this.#receiver]!;
    const before = receiver.rows.get(ID)?.last ?? 0;
    for (const event of receiver.stored.slice(Math.max(0, receiver.stored.length - n))) this.#restored.add(event.seq);
    receiver.forgetLast(n);
    const after = receiver.rows.get(ID)?.last ?? 0;
    // What it knew to be lost it has to learn again: forgotten together with the rows.
    for (let seq = after + 1; seq <= before; seq++) this.#restored.add(seq);
  }

  finish(): void {
    this.record(0);
    for (let turn = 0; turn < 2000 && this.#window.settled < this.#last; turn++) {
      this.send(3);
      this.deliver();
      this.answer();
    }
  }

  check(): void {
    assert.strictEqual(this.#window.settled, this.#last, 'everything is settled in the end');
    const seen = new Set<number>();
    for (const receiver of this.#receivers) {
      const own = receiver.stored.map((event) => event.seq);
      assert.deepEqual(
        own,
        [...new Set(own)].sort((a, b) => a - b),
        'in order, none twice',
      );
      for (const seq of own) seen.add(seq);
      for (const { range } of receiver.lost) for (let seq = range.first; seq <= range.last; seq++) seen.add(seq);
    }
    // A receiver that is restored while another is in use passes over what the other settled: what it lost itself, it cannot name then.
    const isExcused = (seq: number): boolean => this.#hasSwitched && this.#restored.has(seq);
    for (let seq = 1; seq <= this.#last; seq++) assert.isTrue(seen.has(seq) || isExcused(seq), `seq ${seq} is stored or named`);
  }
}
