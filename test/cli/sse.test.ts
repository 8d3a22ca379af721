import { assert } from 'chai';
import { readServerSentEvents, type ServerSentEvent } from '../../cli/sse.ts';

async function eventsOf(...chunks: (string | Buffer)[]): Promise<ServerSentEvent[]> {
  async function* input(): AsyncGenerator<Buffer> {
    for (const chunk of chunks) yield Buffer.from(chunk as string);
  }
  const events: ServerSentEvent[] = [];
  for await (const event of readServerSentEvents(input())) events.push(event);
  return events;
}

describe('server-sent events', () => {
  it('are read whatever ends their lines and wherever chunks end', async () => {
    const expected = [
      { event: 'event', data: '{"message":"é\u2028"}', id: 'a' },
      { event: 'message', data: 'one\ntwo', id: 'a' },
      { event: 'event', data: 'x', id: 'b' },
    ];
    for (const end of ['\n', '\r\n', '\r']) {
      const text = [': hello', 'event: event', 'id: a', 'data: {"message":"é\u2028"}', '', 'data:one', 'data: two', '', ': beat', ''];
      const bytes = Buffer.from([...text, 'event:event', 'id:b', 'retry: 10', 'data:x', '', ''].join(end) + (end === '\r' ? ':' : ''));
      for (const size of [1, 2, 7, 1000]) {
        const chunks: Buffer[] = [];
        for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
        assert.deepEqual(await eventsOf(...chunks), expected, `${JSON.stringify(end)}, ${size}`);
      }
    }
  });

  it('tell of an id that comes alone, and drop what is cut off at the end', async () => {
    assert.deepEqual(await eventsOf('id: 7\n\ndata: x\nid: 8\n'), [{ event: 'message', data: '', id: '7' }]);
  });

  it('have lines of a bounded length', async () => {
    const problem = await eventsOf('data: ', 'x'.repeat(1_200_000), 'x').catch((error: unknown) => error);
    assert.include(String(problem), 'a line of the event stream must be at most');
  });
});
