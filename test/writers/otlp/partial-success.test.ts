/** A collector that takes all of a batch but some, and does not say which. */
import { assert } from 'chai';
import { gunzipSync } from 'node:zlib';
import { Dispatch } from '../../../dispatcher/index.ts';
import { openJournal } from '../../../journal/index.ts';
import { otlpSettings } from '../../../writers/otlp/settings.ts';
import { OtlpWriter } from '../../../writers/otlp/writer.ts';
import { decodeRequest, partialSuccess, receivedOf } from '../../support/from-otlp.ts';
import { Subscriber } from '../../support/subscriber.ts';
import { tempDirectory } from '../../support/temp-directory.ts';
import { until } from '../../support/until.ts';

const COUNT = 40;
const POISON = new Set(['tick 7', 'tick 31']);

describe('a partial success of OTLP', function () {
  this.timeout(60_000);

  it('sets aside exactly the events that were not taken, and the rest is there', async () => {
    const { path, remove } = await tempDirectory();
    const collector = await Subscriber.open();
    const taken = new Set<string>();
    collector.answer = ({ headers, body }) => {
      const messages = receivedOf(decodeRequest(headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body)).map(
        ({ message }) => message,
      );
      for (const message of messages) if (!POISON.has(message)) taken.add(message);
      const rejected = messages.filter((message) => POISON.has(message)).length;
      return {
        status: 200,
        headers: { 'content-type': 'application/x-protobuf' },
        body: partialSuccess(rejected, rejected > 0 ? 'too old' : ''),
      };
    };
    const journal = await openJournal(path, { site: 'plant-7' });
    const stop = new AbortController();
    const writer = await OtlpWriter.open(otlpSettings.parse({ url: collector.url }));
    const dispatch = await Dispatch.open(journal, { component: 'clock', writers: [{ name: 'otel', writer, batch: { intervalMs: 50 } }] });
    await Promise.all(Array.from({ length: COUNT }, async (_, i) => dispatch.record('test.Tick', 'info', `tick ${i + 1}`)));
    const running = dispatch.run(stop.signal);
    try {
      await until('all are settled', () => dispatch.feeds[0]!.status().lanes.normal.pending === 0, 30_000);
      assert.equal(dispatch.feeds[0]!.status().dead, POISON.size);
      assert.include(dispatch.feeds[0]!.status().lastError?.message, 'log records rejected');
      assert.equal(taken.size, COUNT - POISON.size);
      assert.isTrue((await dispatch.ledger()).isBalanced);
    } finally {
      stop.abort();
      await running;
      await journal.close();
      await collector.close();
      await remove();
    }
  });
});
