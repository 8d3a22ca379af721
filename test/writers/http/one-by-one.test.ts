import { assert } from 'chai';
import { FondacoError, isFondacoError } from '../../../core/errors.ts';
import type { Delivery } from '../../../core/writer.ts';
import { OneByOne } from '../../../writers/http/one-by-one.ts';
import { failure } from '../../contract/writer-contract.ts';
import { deliveries, eventOf, plainLines } from '../../support/deliveries.ts';
import { settle } from '../../support/fake-clock.ts';
import { openHttp } from '../../support/http-scene.ts';
import { seeded, testSeed } from '../../support/seeded.ts';
import { Subscriber } from '../../support/subscriber.ts';

const never = new AbortController().signal;

/** Events of these objects, in this order; the message is the object and its how-manieth event it is. */
function batchOf(objects: string, first = 1): Delivery[] {
  const counts = new Map<string, number>();
  const events = Array.from(objects, (name, i) => {
    const nth = (counts.get(name) ?? 0) + 1;
    counts.set(name, nth);
    const object = name === '-' ? {} : { object: { kind: 'Node', name } };
    return eventOf(JSON.stringify({ type: 'a.B', severity: 'info', message: `${name}${nth}`, ...object }), first + i);
  });
  return deliveries(events, { first });
}

/** A destination that answers when it is told to. */
class Slow {
  readonly begun: string[] = [];
  readonly taken: string[] = [];
  readonly #waiting = new Map<string, { take: () => void; fail: (error: unknown) => void }>();

  readonly send = async ({ event: { message } }: Delivery): Promise<void> => {
    this.begun.push(message);
    await new Promise<void>((take, fail) => this.#waiting.set(message, { take, fail }));
    this.taken.push(message);
  };

  get waiting(): string[] {
    return [...this.#waiting.keys()];
  }

  async take(...messages: string[]): Promise<void> {
    for (const message of messages) {
      this.#waiting.get(message)!.take();
      this.#waiting.delete(message);
      await settle(2);
    }
  }

  async fail(message: string, error: unknown = new FondacoError('UNAVAILABLE', message)): Promise<void> {
    this.#waiting.get(message)!.fail(error);
    this.#waiting.delete(message);
    await settle(2);
  }
}

describe('events sent one by one', () => {
  let slow: Slow;
  let oneByOne: OneByOne;
  const takenOf = async (writing: Promise<void>): Promise<[text: string, taken: number | undefined]> => {
    const { text, facts } = await failure(writing);
    return [text, facts.taken];
  };

  beforeEach(() => {
    slow = new Slow();
    oneByOne = new OneByOne(3);
  });

  it('go side by side for different objects, as many as may, and in order for one', async () => {
    const writing = oneByOne.write(batchOf('aabacd'), slow.send);
    await settle(2);
    assert.deepEqual(slow.waiting, ['a1', 'b1', 'c1']);
    await slow.take('c1');
    assert.deepEqual(slow.waiting, ['a1', 'b1', 'd1']);
    await slow.take('b1', 'd1');
    assert.deepEqual(slow.waiting, ['a1']);
    await slow.take('a1');
    assert.deepEqual(slow.waiting, ['a2']);
    await slow.take('a2', 'a3');
    await writing;
  });

  it('are kept in order by their source where they have no object', async () => {
    const writing = oneByOne.write(batchOf('--a'), slow.send);
    await settle(2);
    assert.deepEqual(slow.waiting, ['-1', 'a1']);
    await slow.take('-1', 'a1', '-2');
    await writing;
  });

  it('stop behind a failure: none of its object is begun, what stands before it is sent to its end, and the error says how far', async () => {
    const failed = takenOf(oneByOne.write(batchOf('aabcbacd'), slow.send));
    await settle(2);
    assert.deepEqual(slow.waiting, ['a1', 'b1', 'c1']);
    await slow.fail('b1'); // the third of the batch
    await slow.take('c1', 'a1');
    assert.deepEqual(slow.waiting, ['a2']);
    await slow.take('a2');
    assert.deepEqual(await failed, ['b1', 2]);
    assert.deepEqual(slow.begun, ['a1', 'b1', 'c1', 'a2']);
  });

  it('name the first failure of several, whichever comes first', async () => {
    const failed = takenOf(oneByOne.write(batchOf('abc'), slow.send));
    await settle(2);
    await slow.fail('c1');
    await slow.fail('b1', new FondacoError('REJECTED', 'b1', { status: '422' }));
    await slow.take('a1');
    assert.deepEqual(await failed, ['b1', 1]);
  });

  it('heed the longest pause that any of them was asked for', async () => {
    const failed = failure(oneByOne.write(batchOf('abc'), slow.send));
    await settle(2);
    await slow.fail('c1', new FondacoError('UNAVAILABLE', 'c1', { retryAfterMs: 60_000 }));
    await slow.fail('b1', new FondacoError('UNAVAILABLE', 'b1', { retryAfterMs: 1000 }));
    await slow.take('a1');
    const { text, facts } = await failed;
    assert.deepEqual([text, facts.taken, facts.retryAfterMs], ['b1', 1, 60_000]);
  });

  it('that were taken behind a failure are not sent again, in whatever cuts the batch comes again', async () => {
    const batch = batchOf('abcab');
    const failed = takenOf(oneByOne.write(batch, slow.send));
    await settle(2);
    await slow.take('b1', 'c1');
    await slow.fail('a1');
    await slow.take('b2');
    assert.deepEqual(await failed, ['a1', 0]);
    for (const cut of [batch.slice(0, 1), batch.slice(1)]) {
      const writing = oneByOne.write(cut, slow.send);
      await settle(2);
      await slow.take(...slow.waiting);
      await writing;
    }
    assert.deepEqual(slow.taken, ['b1', 'c1', 'b2', 'a1', 'a2']);
  });

  it('come again under another series or another entry: then they are other deliveries', async () => {
    const failed = takenOf(oneByOne.write(batchOf('ab'), slow.send));
    await settle(2);
    await slow.take('b1');
    await slow.fail('a1');
    await failed;
    const batch = batchOf('ab');
    const others: Delivery[][] = [
      batch.map((each) => ({ ...each, delivery: { ...each.delivery, series: 'another' } })),
      batch.map((each) => ({ ...each, entry: { ...each.entry, birth: 1 } })),
    ];
    for (const other of others) {
      const writing = oneByOne.write(other, slow.send);
      await settle(2);
      assert.deepEqual(slow.waiting, ['a1', 'b1']);
      await slow.take('a1', 'b1');
      await writing;
    }
  });

  it('reject with what is no error of ours as it is', async () => {
    const writing = oneByOne.write(batchOf('a'), async () => Promise.reject(new TypeError('a bug'))).catch((error: unknown) => error);
    assert.isFalse(isFondacoError(await writing));
  });

  it('whatever fails when, each object gets its events in order and once, while this lives', async () => {
    const random = seeded(testSeed);
    for (let round = 0; round < 200; round++) {
      const all = batchOf(Array.from({ length: 40 }, () => 'abcdef'[Math.floor(random() * 6)]).join(''));
      const each = new OneByOne(1 + Math.floor(random() * 6));
      const taken: Delivery[] = [];
      let from = 0;
      let cut = all.length;
      while (from < all.length) {
        const batch = all.slice(from, from + cut);
        try {
          await each.write(batch, async (delivery) => {
            await settle(Math.floor(random() * 3));
            if (random() < 0.2) throw new FondacoError('UNAVAILABLE', 'no');
            taken.push(delivery);
          });
          from += batch.length;
        } catch (error) {
          from += (error as FondacoError).facts.taken!;
        }
        cut = 1 + Math.floor(random() * all.length);
      }
      assert.lengthOf(taken, all.length, `round ${round}`);
      for (const name of 'abcdef') {
        const of = (list: readonly Delivery[]): string[] =>
          list.filter(({ event }) => event.object?.name === name).map(({ event }) => event.message);
        assert.deepEqual(of(taken), of(all), `round ${round}, object ${name}`);
      }
    }
  }).timeout(20_000);

  it('by the http writer: up to so many requests at once, and a rejection that says how far', async () => {
    const subscriber = await Subscriber.open();
    const writer = await openHttp({ url: subscriber.url, format: 'cloudevents-binary', concurrency: 4 });
    const objects = 'abcdefghijkl';
    let [inFlight, most] = [0, 0];
    subscriber.answer = ({ body }) => {
      most = Math.max(most, ++inFlight);
      const delayMs = subscriber.requests.length <= 4 ? 200 : 10;
      setTimeout(() => inFlight--, delayMs - 5);
      return { status: body.includes('"message":"g1"') ? 422 : 200, delayMs };
    };
    const error = await failure(writer.write(batchOf(objects), never));
    assert.equal(error.code, 'REJECTED');
    assert.equal(error.facts.taken, 6);
    assert.isAtMost(most, 4);
    assert.isAbove(most, 1);
    subscriber.answer = () => ({ status: 200 });
    await writer.write(batchOf(objects).slice(6), never);
    const messages = subscriber.requests
      .filter(({ status }) => status === 200)
      .map(({ body }) => /"message":"(..)"/.exec(body.toString())![1]);
    assert.sameMembers(
      messages,
      Array.from(objects, (name) => `${name}1`),
    );
    await writer.write(
      deliveries(
        plainLines(1, 3).map((line, i) => eventOf(line, i + 1)),
        { lane: 'urgent' },
      ),
      never,
    );
    await writer.close();
    await subscriber.close();
  });
});
