/** Events posted over HTTP to a real proxy that is killed again and again. */
import { expect } from 'chai';
import { ProxyProcess } from '../support/processes.ts';
import { RecordBook } from '../support/record-book.ts';
import { Subscriber } from '../support/subscriber.ts';
import type { Posted } from '../support/surface-kit.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { until } from '../support/until.ts';

const KILLS = 4;
const SENDERS = 4;

describe('HTTP input, the proxy killed between posts', function () {
  this.timeout(120_000);

  it('what was answered 202 is delivered, once, under the ids that were told', async () => {
    const { path, remove } = await tempDirectory();
    const subscriber = await Subscriber.open();
    const url = `"${subscriber.url}"`;
    const proxy = await ProxyProcess.start(
      path,
      `dedup: { interval: 0s }\nwriters:\n  - { name: ops, kind: http, url: ${url}, format: json, batch: { interval: 10ms } }`,
    );
    const told = new Map<string, string>();
    let isOver = false;
    let round = 0;
    const isReady = async (): Promise<boolean> => (await fetch(`${proxy.api}/readyz`).catch(() => undefined))?.ok === true;
    const post = async (name: string): Promise<void> => {
      const lines = Array.from(
        { length: 20 },
        (_, i) => `{"type":"test.Post","severity":"${i === 7 ? 'critical' : 'info'}","message":"${name}/${i}"}`,
      );
      const headers = { 'content-type': 'application/x-ndjson' };
      const answer = await fetch(`${proxy.api}/v1/events`, { method: 'POST', headers, body: lines.join('\n') }).catch(() => undefined);
      if (answer?.status !== 202) return until('the proxy answers again', () => isOver || isReady(), 20_000);
      const { results } = (await answer.json().catch(() => ({ results: [] }))) as Posted;
      for (const { index, id = '' } of results) told.set(id, `${name}/${index}`);
    };
    const sender = async (number: number): Promise<void> => {
      while (!isOver) await post(`${number}/${++round}`);
    };
    const senders = Array.from({ length: SENDERS }, (_, i) => sender(i));
    for (let kill = 0; kill < KILLS; kill++) {
      const before = told.size;
      await until('more was posted', () => told.size > before + 1000, 20_000);
      await proxy.kill();
      await proxy.start();
    }
    const before = told.size;
    await until('more was posted', () => told.size > before + 200, 20_000);
    isOver = true;
    await Promise.all(senders);
    expect(await proxy.stop()).to.equal(0);
    await proxy.start();
    const book = (): RecordBook => {
      const made = new RecordBook();
      for (const body of subscriber.taken) made.add(body);
      return made;
    };
    await until(
      'nothing is pending',
      async () => {
        const { writers } = await proxy.status();
        return writers.every(({ lanes }) => lanes.urgent.pending + lanes.normal.pending === 0);
      },
      20_000,
    );
    const { events } = book();
    const delivered = new Map(events.map(({ id, message }) => [id, message]));
    for (const [id, message] of told) expect(delivered.get(id), id).to.equal(message);
    // Nothing that was posted once is there under two ids.
    expect(new Set(events.map(({ message }) => message)).size).to.equal(events.length);
    expect(book().problems()).to.deep.equal([]);
    const { lost, rejected, isBalanced, accepted } = await proxy.ledger();
    expect([lost, rejected, isBalanced]).to.deep.equal([0, 0, true]);
    expect(accepted.normal + accepted.urgent).to.equal(events.length);
    await proxy.stop();
    await subscriber.close();
    await remove();
  });
});
