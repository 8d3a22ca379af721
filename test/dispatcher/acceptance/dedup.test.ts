import { expect } from 'chai';
import type { DecodedEvent } from '../../../core/event-codec.ts';
import { uuidText } from '../../../core/uuid.ts';
import { DispatchKit, failAfter, Sender, type KitOptions } from '../../support/dispatch-kit.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { auditStore, decodeOf, rowsOf } from '../../support/store-audit.ts';

const HOUR = 3_600_000;
const YEAR = 365.25 * 24 * HOUR;

/** revision/count/added of what was delivered. */
function counts(events: readonly Readonly<DecodedEvent>[]): string[] {
  return events.map(({ revision, count, added }) => `${revision}/${count}/${added}`);
}

describe('dedup', () => {
  let kit: DispatchKit;
  let sender: Sender;
  let after = 0;

  async function open(options: KitOptions = {}): Promise<void> {
    kit = await DispatchKit.open({ dedupMs: 10_000, writers: { ops: {} }, ...options });
    sender = new Sender();
    after = 0;
  }

  /** SIGKILL, then another life on the same storage; `jumpMs` is by how much the wall clock is off then. */
  async function crash(options: KitOptions = {}, jumpMs = 0): Promise<void> {
    await kit.kill();
    const { storage, clock } = kit;
    clock.wall += jumpMs;
    kit = await DispatchKit.open({ dedupMs: 10_000, writers: { ops: {} }, ...options, storage, clock });
  }

  async function record(...events: Record<string, unknown>[]): Promise<void> {
    await kit.dispatcher.accept(sender.batch(after, events));
    after += events.length;
  }

  const delivered = (): Readonly<DecodedEvent>[] => kit.writer().taken.map(({ event }) => event);
  const idOf = (seq: number): string => `${uuidText(sender.series)}-${seq}`;

  afterEach(async () => {
    expect(await kit.ledger()).to.include({ isBalanced: true, dedupDiscrepancy: 0, unreported: 0 });
    const { added, held, accepted } = auditStore(kit.storage);
    expect(added + held).to.equal(accepted);
    await kit.stop();
  });

  it('delivers the first occurrence at once, and one exact summary when the window ends', async () => {
    await open();
    const at = (second: number): Record<string, unknown> => ({ message: 'a', time: `2026-11-22T08:00:0${second}Z` });
    await record(at(1));
    await kit.settle();
    expect(counts(delivered())).to.deep.equal(['0/1/1']);
    await record(at(2), at(4), at(3));
    await kit.clock.advance(9900);
    expect(delivered()).to.have.lengthOf(1);
    await kit.clock.advance(200);
    expect(counts(delivered())).to.deep.equal(['0/1/1', '1/4/3']);
    const summary = delivered()[1]!;
    expect(summary).to.include({
      id: `${idOf(1)}.1`,
      summarizes: idOf(1),
      message: 'a',
      time: '2026-11-22T08:00:01Z',
      firstTime: '2026-11-22T08:00:01Z',
      lastTime: '2026-11-22T08:00:03Z', // of the last that came, whatever clock it has
    });
    expect(summary.source).to.deep.equal({ site: 'plant-7', node: 'n1', component: 'c1' });
    expect(rowsOf(kit.storage, 'window:')).to.deep.equal([]);
  });

  it('makes no summary of an event that came once', async () => {
    await open();
    await record({ message: 'a' });
    await kit.clock.advance(60_000);
    expect(counts(delivered())).to.deep.equal(['0/1/1']);
    expect(kit.dispatcher.status().windows.closedEarly).to.equal(0);
  });

  it('does not let recurrences extend the window', async () => {
    await open();
    for (let i = 0; i < 13; i++) {
      await record({ message: 'a' });
      await kit.clock.advance(1000);
    }
    // At 0 s, then at 10 s a first again: a window that slides would hold all thirteen.
    expect(counts(delivered())).to.deep.equal(['0/1/1', '1/10/9', '0/1/1']);
    expect(delivered()[2]!.id).to.equal(idOf(11));
  });

  it('stores recurrences as history, short, and gives them to no writer', async () => {
    await open();
    const long = { message: 'a'.repeat(5000), attributes: { fill: 'b'.repeat(5000) } };
    await record(long, long, long);
    await kit.clock.advance(100);
    const { entries } = auditStore(kit.storage);
    expect(entries.normal.map(({ kind, seq, first }) => [kind, seq, first])).to.deep.equal([
      ['accepted', 1, 0],
      ['folded', 2, 1],
      ['folded', 3, 1],
    ]);
    expect(entries.normal[1]!.bytes.length).to.be.below(100);
    expect(delivered()).to.have.lengthOf(1);
  });

  it('reports once a minute while a long window is open, and at its end what is left', async () => {
    await open({ dedupMs: 150_000 });
    await record({ message: 'a' });
    await kit.settle();
    for (let second = 0; second < 120; second += 20) {
      await record({ message: 'a' }); // at 0, 20, … 100
      await kit.clock.advance(20_000);
    }
    expect(counts(delivered())).to.deep.equal(['0/1/1', '1/4/3', '2/7/3']);
    await record({ message: 'a' });
    await kit.clock.advance(29_000);
    expect(delivered()).to.have.lengthOf(3);
    await kit.clock.advance(2000);
    expect(counts(delivered()).slice(3)).to.deep.equal(['3/8/1']);
    expect(delivered().map(({ id }) => id)).to.deep.equal([idOf(1), `${idOf(1)}.1`, `${idOf(1)}.2`, `${idOf(1)}.3`]);
    expect(delivered()[2]!.summarizes).to.equal(idOf(1));
  });

  it('wakes nobody for a folded window that has gone quiet, until it ends', async () => {
    await open({ dedupMs: 600_000 });
    await record({ message: 'a' }, { message: 'a' });
    await kit.clock.advance(61_000);
    expect(counts(delivered())).to.deep.equal(['0/1/1', '1/2/1']);
    await kit.clock.advance(70_000);
    expect(kit.clock.nextMs, 'the next wake-up').to.be.above(400_000);
    await record({ message: 'a' }); // the last report is more than a minute old: this one is told at once
    await kit.clock.advance(100);
    expect(counts(delivered()).slice(2)).to.deep.equal(['2/3/1']);
  });

  describe('folds only what is the same', () => {
    const base = { type: 'test.Same', severity: 'warn', message: 'm', attributes: { a: 1 }, object: { kind: 'K', name: 'n' } };
    const others: Record<string, Record<string, unknown>> = {
      type: { type: 'test.Other' },
      severity: { severity: 'error' },
      source: { source: { component: 'c2' } },
      object: { object: { kind: 'K', name: 'o' } },
      message: { message: 'M' },
      attributes: { attributes: { a: 2 } },
    };
    for (const [field, change] of Object.entries(others)) {
      it(`so not two events that differ in their ${field}`, async () => {
        await open();
        await record(base, { ...base, ...change }, base);
        await kit.clock.advance(11_000);
        expect(counts(delivered())).to.deep.equal(['0/1/1', '0/1/1', '1/2/1']);
      });
    }

    it('but two that differ in time and trace only', async () => {
      await open();
      await record(base, { ...base, time: '2026-01-01T00:00:00Z', traceparent: 'x' });
      await kit.clock.advance(11_000);
      expect(counts(delivered())).to.deep.equal(['0/1/1', '1/2/1']);
    });

    it('and with a dedupKey whatever object, message and attributes are, each kept whole in the history', async () => {
      await open();
      await record({ ...base, dedupKey: 'k' }, { ...base, ...others.message, ...others.attributes, ...others.object, dedupKey: 'k' });
      await kit.clock.advance(11_000);
      expect(counts(delivered())).to.deep.equal(['0/1/1', '1/2/1']);
      const folded = auditStore(kit.storage).entries.normal[1]!;
      expect(decodeOf(folded)).to.deep.include({ message: 'M', object: { kind: 'K', name: 'o' }, attributes: { a: 2 } });
    });

    for (const field of ['type', 'severity', 'source']) {
      it(`but never across ${field}, with a dedupKey either`, async () => {
        await open();
        await record({ ...base, dedupKey: 'k' }, { ...base, ...others[field], dedupKey: 'k' });
        await kit.clock.advance(11_000);
        expect(counts(delivered())).to.deep.equal(['0/1/1', '0/1/1']);
      });
    }

    it('nor an event with a dedupKey into one without', async () => {
      await open();
      const bare = { type: 'test.Bare', severity: 'warn', message: '' };
      await record(bare, { ...bare, dedupKey: 'k' });
      await kit.clock.advance(11_000);
      expect(counts(delivered())).to.deep.equal(['0/1/1', '0/1/1']);
    });
  });

  it('keeps the summaries of urgent events in the urgent lane', async () => {
    await open();
    await record({ message: 'a', severity: 'critical' }, { message: 'a', severity: 'critical' }, { message: 'a' }, { message: 'a' });
    await kit.clock.advance(11_000);
    const lanes = kit.writer().taken.map(({ event, delivery }) => `${delivery.lane} ${event.revision}`);
    expect(lanes.filter((lane) => lane.startsWith('urgent'))).to.deep.equal(['urgent 0', 'urgent 1']);
    expect(lanes.filter((lane) => lane.startsWith('normal'))).to.deep.equal(['normal 0', 'normal 1']);
  });

  it('closes the oldest window early when there are too many, with its summary, and counts that', async () => {
    await open({ windowsMax: 3 });
    await record({ message: 'a' }, { message: 'a' }, { message: 'b' }, { message: 'c' }, { message: 'd' }, { message: 'a' });
    await kit.settle();
    expect(counts(delivered())).to.deep.equal(['0/1/1', '0/1/1', '0/1/1', '0/1/1', '1/2/1', '0/1/1']);
    expect(kit.dispatcher.status().windows).to.deep.equal({ open: 3, folded: 0, closedEarly: 2 });
    await crash({ windowsMax: 3 });
    expect(kit.dispatcher.status().windows.closedEarly).to.equal(2);
  });

  it('closes no window early to find an event that is in one', async () => {
    await open({ windowsMax: 2 });
    await record({ message: 'a' }, { message: 'b' }, { message: 'a' }, { message: 'b' });
    expect(kit.dispatcher.status().windows).to.deep.equal({ open: 2, folded: 2, closedEarly: 0 });
  });

  it('is off with an interval of 0: every event is an entry and a delivery', async () => {
    await open({ dedupMs: 0 });
    await record({ message: 'a' }, { message: 'a' }, { message: 'a' });
    await kit.clock.advance(11_000);
    expect(counts(delivered())).to.deep.equal(['0/1/1', '0/1/1', '0/1/1']);
    expect(new Set(delivered().map(({ id }) => id)).size).to.equal(3);
  });

  it("never folds the proxy's own events", async () => {
    await open();
    const say = (): Promise<void> =>
      kit.journal.commit((draft) =>
        kit.dispatcher.record(draft, 'normal', { type: 'fondaco.Test', severity: 'info', message: 'same', attributes: {} }),
      );
    for (let i = 0; i < 3; i++) await say();
    await kit.clock.advance(11_000);
    expect(counts(delivered())).to.deep.equal(['0/1/1', '0/1/1', '0/1/1']);
  });

  describe('across a crash', () => {
    it('goes on counting in a window that had folded, under the same id', async () => {
      await open();
      await record({ message: 'a' }, { message: 'a' });
      await kit.clock.advance(4000);
      await crash();
      await record({ message: 'a' });
      await kit.clock.advance(5900);
      expect(delivered()).to.deep.equal([]);
      await kit.clock.advance(200);
      expect(counts(delivered())).to.deep.equal(['1/3/2']);
      expect(delivered()[0]).to.include({ id: `${idOf(1)}.1`, summarizes: idOf(1), message: 'a' });
    });

    it('goes on with the next revision after an interim summary', async () => {
      await open({ dedupMs: 300_000 });
      await record({ message: 'a' }, { message: 'a' });
      await kit.clock.advance(61_000);
      await record({ message: 'a' });
      await crash({ dedupMs: 300_000 });
      await record({ message: 'a' });
      await kit.clock.advance(300_000);
      expect(delivered().map(({ id, count, added }) => [id, count, added])).to.deep.equal([[`${idOf(1)}.2`, 4, 2]]);
    });

    it('takes the next recurrence for a first where the window had not folded: nothing was promised', async () => {
      await open();
      await record({ message: 'a' });
      await kit.settle();
      await crash();
      await record({ message: 'a' });
      await kit.clock.advance(11_000);
      expect(counts(delivered())).to.deep.equal(['0/1/1']);
    });

    for (const [name, jumpMs, restMs] of [
      ['3 hours ahead', 3 * HOUR, 0],
      ['56 years ahead', 56 * YEAR, 0],
      ['3 hours back', -3 * HOUR, 10_000],
      ['56 years back', -56 * YEAR, 10_000],
    ] as const) {
      it(`ends a window within its length when the wall clock is ${name}`, async () => {
        await open();
        await record({ message: 'a' }, { message: 'a' });
        await kit.clock.advance(4000);
        await crash({}, jumpMs);
        await kit.clock.advance(Math.max(restMs - 200, 0));
        if (restMs > 0) expect(delivered()).to.deep.equal([]);
        await kit.clock.advance(400);
        expect(counts(delivered())).to.deep.equal(['1/2/1']);
      });
    }

    it('reports a window at once when dedup is off in the next life', async () => {
      await open();
      await record({ message: 'a' }, { message: 'a' });
      await kit.settle();
      await crash({ dedupMs: 0 });
      await kit.clock.advance(100);
      expect(counts(delivered())).to.deep.equal(['1/2/1']);
    });

    it('closes windows early, with their summaries, when there is room for fewer of them in the next life', async () => {
      await open();
      const events = ['a', 'b', 'c', 'd', 'e'].map((message) => ({ message }));
      await record(...events, ...events);
      await kit.settle();
      await crash({ windowsMax: 2 });
      await kit.clock.advance(100);
      expect(delivered().map(({ message, added }) => `${message} ${added}`)).to.deep.equal(['a 1', 'b 1', 'c 1']);
      expect(kit.dispatcher.status().windows).to.include({ closedEarly: 3, folded: 2 });
      await kit.clock.advance(11_000);
      expect(delivered().map(({ message, added }) => `${message} ${added}`)).to.deep.equal(['a 1', 'b 1', 'c 1', 'd 1', 'e 1']);
    });

    it('loses no count at any write that is the last one', async () => {
      for (let writes = 0; writes < 8; writes++) {
        await open();
        let left = writes;
        kit.storage.fate = () => (left-- > 0 ? 'taken' : 'hangs');
        const recorded = [1, 2, 3].map((n) => kit.dispatcher.accept(sender.batch((n - 1) * 2, [{ message: 'a' }, { message: 'a' }])));
        for (const each of recorded) each.catch(() => undefined);
        await kit.clock.advance(11_000);
        const before = auditStore(kit.storage);
        kit.storage.fate = () => 'taken';
        await crash();
        await kit.clock.advance(11_000);
        const { added, held, accepted } = auditStore(kit.storage);
        expect([accepted, added, held], `${writes} writes`).to.deep.equal([before.accepted, before.accepted, 0]);
        if (writes < 7) await kit.stop();
      }
    });
  });

  it('keeps what is folded when the disk fails and is opened again in the middle of a window', async () => {
    await open({ clock: new FakeClock() });
    await record({ message: 'a' }, { message: 'a' });
    kit.storage.fate = () => 'failed';
    await kit.dispatcher.accept(sender.batch(after, [{ message: 'a' }])).catch(() => undefined);
    kit.storage.fate = () => 'taken';
    await kit.clock.advance(200);
    await record({ message: 'a' }, { message: 'a' });
    await kit.clock.advance(11_000);
    expect(counts(delivered())).to.deep.equal(['0/1/1', '1/4/3']);
  });

  for (const jump of [-1, 1]) {
    describe(`when the disk fails, and the wall clock is ${jump} h off`, () => {
      beforeEach(async () => {
        await open({ clock: new FakeClock() });
        await record({ message: 'a' }, { message: 'a' });
        kit.clock.wall += jump * 3_600_000;
        await kit.clock.advance(4000);
        failAfter(kit.storage, { after: 0, fate: 'failed' });
      });

      it('ends a window after its interval', async () => {
        const failing = kit.dispatcher.accept(sender.batch(after, [{ message: 'b' }]));
        expect(await failing.catch((error: unknown) => (error as { code: string }).code)).to.equal('FULL');
        await kit.clock.advance(5_950);
        expect(counts(delivered())).to.deep.equal(['0/1/1']);
        await kit.clock.advance(300);
        expect(counts(delivered())).to.deep.equal(['0/1/1', '1/2/1']);
      });

      it('ends one whose end was not stored', async () => {
        await kit.clock.advance(6_500);
        expect(counts(delivered())).to.deep.equal(['0/1/1', '1/2/1']);
      });
    });
  }
});
