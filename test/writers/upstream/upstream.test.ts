import { expect } from 'chai';
import { uuidBytes, uuidV7 } from '../../../core/uuid.ts';
import type { Delivery } from '../../../core/writer.ts';
import { UpstreamWriter } from '../../../writers/upstream/writer.ts';
import { upstreamProblems, upstreamSettings } from '../../../writers/upstream/settings.ts';
import { failure, writerContract, type Received } from '../../contract/writer-contract.ts';
import { freePorts } from '../../../demo/free-ports.ts';
import { lossesIn } from '../../../dispatcher/ledger/losses.ts';
import { until } from '../../support/until.ts';
import { deliveries, eventOf, plainLines } from '../../support/deliveries.ts';
import { tapHooks, type Tapped } from '../../support/tap-hooks.ts';
import { TcpTap } from '../../support/tcp-tap.ts';
import { UpperProxy } from '../../support/upper-proxy.ts';

const HOP = { site: 'plant-7', journal: uuidV7(Date.now()), directory: '.' };
const never = new AbortController().signal;

async function writerTo(address: string | readonly string[], settings: object = {}): Promise<UpstreamWriter> {
  return UpstreamWriter.open(upstreamSettings.parse({ address, ...settings }), HOP);
}

writerContract('upstream', {
  ...tapHooks<Tapped & { readonly upper: UpperProxy }>(() => false),
  resend: 'once',
  open: async () => {
    const upper = await UpperProxy.open();
    return { upper, tap: await TcpTap.open(upper.port) };
  },
  openWriter: async ({ tap }) => writerTo(tap.address),
  payloads: ({ upper }) =>
    upper.asked.filter(({ reply }) => reply.expected === undefined).map(({ batch }) => Buffer.concat([...batch.events])),
  received: ({ upper }) =>
    upper.stored.map(({ entry, event }): Received => {
      const { id, type, severity, time, message, source, object, labels, attributesText } = event;
      return { id, type, severity, time, message, source: { ...source }, object, labels, attributesText, seq: entry.seq };
    }),
  loseReply: ({ upper, tap }) => {
    upper.onTaken = () => {
      upper.onTaken = undefined;
      tap.cut();
    };
  },
  close: async ({ upper, tap }) => {
    await upper.close();
    await tap.close();
  },
  openUnreachable: async () => writerTo(`127.0.0.1:${(await freePorts(1, Math.random))[0]}`),
});

/** Events `from` to `to` under one delivery series. */
function lines(from: number, to: number, series?: string): Delivery[] {
  const all = deliveries(
    plainLines(from, to).map((line, i) => eventOf(line, from + i)),
    { first: from },
  );
  return series === undefined ? all : all.map((each) => ({ ...each, delivery: { ...each.delivery, series } }));
}

describe('upstream writer', () => {
  let upper: UpperProxy;
  let writer: UpstreamWriter;

  beforeEach(async () => {
    upper = await UpperProxy.open();
    writer = await writerTo(upper.address);
  });
  afterEach(async () => {
    await writer.close();
    await upper.close();
  });

  const ids = (): string[] => upper.stored.filter(({ entry }) => entry.kind === 'accepted').map(({ event }) => event.id);

  it('keeps an event as its first proxy made it, and says which way it came', async () => {
    const event = eventOf(plainLines(1, 1)[0]!, 1, { region: 'eu' });
    const foreign = { source: '//elsewhere', id: '17' };
    Object.assign(event, {
      id: `${event.id}.2`,
      revision: 2,
      count: 30,
      added: 11,
      summarizes: event.id,
      foreign,
      traceparent: '00-a-b-01',
    });
    Object.assign(event, { via: ['machine-3'], firstTime: '2026-11-22T07:59:00Z', lastTime: '2026-11-22T08:01:00.000000001Z' });
    await writer.write(deliveries([event], { lane: 'urgent' }), never);
    const [{ entry, event: stored } = { entry: undefined, event: undefined }] = upper.stored;
    const fields = (of: object): unknown => Object.entries(of).filter(([key, value]) => key !== 'journals' && value !== undefined);
    expect(fields(stored!)).to.have.deep.members(fields(Object.assign(event, { via: ['machine-3', 'plant-7'] })) as unknown[]);
    expect(stored?.attributesText).to.equal(event.attributesText);
    expect(entry?.lane).to.equal('urgent');
  });

  it('takes what comes again for known, in whatever cuts', async () => {
    await writer.write(lines(1, 20), never);
    await writer.write(lines(5, 30), never);
    await writer.write(lines(1, 31), never);
    expect(ids()).to.deep.equal(lines(1, 31).map(({ event }) => event.id));
    expect(upper.dispatcher.counts.added).to.equal(31);
  });

  it('never folds: the same event twice is two entries', async () => {
    const [one] = lines(1, 1);
    await writer.write([one!, { ...one!, delivery: { ...one!.delivery, seq: 2 } }], never);
    expect(upper.stored).to.have.lengthOf(2);
  });

  it('sends a batch that no message holds in several', async () => {
    await writer.write(lines(1, 2500), never);
    expect(ids()).to.have.lengthOf(2500);
    expect(upper.asked.map(({ batch }) => batch.events.length)).to.deep.equal([1000, 1000, 500]);
  });

  it('passes over a number that was set aside here: no loss', async () => {
    await writer.write(lines(1, 10), never);
    await writer.write(lines(12, 20), never);
    expect(ids()).to.have.lengthOf(19);
    expect(upper.dispatcher.counts.lost).to.equal(0);
  });

  it('is REJECTED for an event that the proxy above rejects, and stores the others', async () => {
    const all = lines(1, 3);
    Object.assign(all[1]!.event, { source: { ...all[1]!.event.source, site: 'region-1' } });
    const error = await failure(writer.write(all, never));
    expect(error.code).to.equal('REJECTED');
    expect(error.text).to.contain('two proxies have one name');
    expect(error.facts.taken).to.equal(1);
    expect((await failure(writer.write([all[1]!], never))).code).to.equal('REJECTED');
    await writer.write([all[2]!], never);
    expect(ids()).to.deep.equal([all[0]!.event.id, all[2]!.event.id]);
    expect(upper.dispatcher.counts).to.include({ rejected: 0, lost: 0 });
  });

  it('takes an event that has been there for taken, and has that told once', async () => {
    const all = lines(1, 5);
    for (const { event } of all) Object.assign(event, { journals: [upper.journal.id], source: { ...event.source, site: 'region-1' } });
    await writer.write(all, never);
    await writer.write(lines(6, 7), never);
    expect(ids()).to.deep.equal(lines(6, 7).map(({ event }) => event.id));
    expect(await upper.own('fondaco.ForwardingLoop')).to.have.lengthOf(1);
  });

  it('is UNAVAILABLE for as long as the proxy above asks for, when it has no room', async () => {
    upper.answer = () => ({ throttleMs: 700 });
    const { code, facts } = await failure(writer.write(lines(1, 1), never));
    expect({ code, retryAfterMs: facts.retryAfterMs }).to.deep.equal({ code: 'UNAVAILABLE', retryAfterMs: 700 });
  });

  it('is REFUSED by a proxy of the same site, and by one that does not know its site', async () => {
    const same = await UpperProxy.open({ site: 'plant-7' });
    const strict = await UpperProxy.open({ sites: ['site-*', 'plant-8'] });
    try {
      for (const proxy of [same, strict]) {
        const other = await writerTo(proxy.address);
        expect((await failure(other.write(lines(1, 1), never))).code).to.equal('REFUSED');
        await other.close();
      }
    } finally {
      await same.close();
      await strict.close();
    }
  });

  it('goes to the next address when one cannot be reached, and repeats nothing but what was in flight', async () => {
    const other = await UpperProxy.open();
    await writer.close();
    writer = await writerTo([upper.address, other.address]);
    try {
      await writer.write(lines(1, 10), never);
      await upper.close();
      await failure(writer.write(lines(11, 20), never)).catch(() => undefined);
      await writer.write(lines(11, 20), never).catch(async () => writer.write(lines(11, 20), never));
      expect(other.stored.filter(({ entry }) => entry.kind === 'accepted')).to.have.lengthOf(10);
      expect(other.dispatcher.counts.lost).to.equal(0);
      upper = await UpperProxy.open();
    } finally {
      await other.close();
    }
  });

  it('remembers in a note what was settled, for another life', async () => {
    await writer.write(lines(1, 10), never);
    const note = writer.note('normal')!;
    expect(note).to.contain(upper.journal.id);
    expect(writer.note('urgent')).to.equal(undefined);
    const next = await writerTo(upper.address);
    next.recall('normal', note);
    await next.write(lines(11, 12), never);
    await next.close();
    expect(upper.asked.at(-2)?.batch).to.include({ after: 10, isGone: false, settledBy: upper.journal.id });
    expect(ids()).to.have.lengthOf(12);
  });

  it('has a proxy that was restored name what it no longer has, of series that have ended, too', async () => {
    const [old, young] = [uuidV7(Date.now()), uuidV7(Date.now())];
    const restored = await UpperProxy.open();
    const next = await writerTo(restored.address);
    try {
      // As if `restored` were a copy from after the first 4 of each.
      const early = await writerTo(restored.address);
      await early.write(lines(1, 4, old), never);
      await early.write(lines(1, 4, young), never);
      await early.close();
      next.recall('normal', [old, young].map((series) => `${series} 10 ${restored.journal.id}`).join('\n'));
      await next.write(lines(11, 12, young), never);
      expect(restored.stored.filter(({ entry }) => entry.kind === 'accepted')).to.have.lengthOf(10);
      expect(restored.dispatcher.counts.lost).to.equal(12);
      await until('both series are named', async () => (await restored.own('fondaco.Loss')).flatMap(lossesIn).length === 2);
      const losses = (await restored.own('fondaco.Loss')).flatMap(lossesIn);
      expect(losses.map(({ origin, ranges }) => [origin.id, ranges])).to.have.deep.members(
        [old, young].map((series) => [series, [[5, 10]]]),
      );
    } finally {
      await next.close();
      await restored.close();
    }
  });
});

describe('forwarded events', () => {
  it('cannot be claimed by an agent: what proxies set is rejected in its batches', async () => {
    const upper = await UpperProxy.open();
    try {
      const writer = await writerTo(upper.address);
      await writer.write(lines(1, 1), never);
      await writer.close();
      const { batch } = upper.asked[0]!;
      const { forwarder: _forwarder, ...claimed } = batch;
      const reply = await upper.dispatcher.accept({ ...claimed, series: uuidBytes(uuidV7(Date.now()))! });
      expect(reply.rejections[0]?.reason).to.contain('is set by proxies');
    } finally {
      await upper.close();
    }
  });
});

describe('settings of the upstream writer', () => {
  const problems = (settings: object): string[] => upstreamProblems(upstreamSettings.parse(settings)).map(({ message }) => message);

  it('takes one address or several', () => {
    expect(upstreamSettings.parse({ address: '[::1]:7070' }).address).to.deep.equal(['[::1]:7070']);
    expect(upstreamSettings.parse({ address: ['unix:/run/a.sock', 'b:1'] }).address).to.have.lengthOf(2);
    for (const address of ['b', 'b:0', 'b:70000', '::1:7070', [], 'http://b:1', 'unix:a', 7]) {
      expect(() => upstreamSettings.parse({ address }), JSON.stringify(address)).to.throw(/host:port/);
    }
  });

  it('sends no token to another machine without TLS', () => {
    expect(problems({ address: ['127.0.0.1:7070', 'unix:/a', '[::1]:1'], token: 'x' })).to.deep.equal([]);
    expect(problems({ address: 'region:7070', token: 'x', tls: {} })).to.deep.equal([]);
    expect(problems({ address: 'region:7070', token: 'x' })[0]).to.contain('region:7070');
  });
});
