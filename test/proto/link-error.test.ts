import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { assert } from 'chai';
import { FondacoError, asError } from '../../core/errors.ts';
import { linkError } from '../../proto/link-error.ts';
import { RecordClient } from '../../proto/record-client.ts';

describe('proto/link-error', function () {
  this.timeout(10_000);
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });

  /** What the end of a real call to that address becomes. */
  const call = async (address: string): Promise<FondacoError> => {
    const client = new RecordClient(address);
    const error = await new Promise<Error | undefined>((resolve) => client.record({ reply: () => undefined, end: resolve }));
    client.close();
    return linkError(error, address);
  };
  const listen = async (server: Server): Promise<string> => {
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  };

  it('says that nobody listens, and keeps what gRPC said as its cause', async () => {
    const error = await call('127.0.0.1:1');
    assert.strictEqual(
      error.message,
      '[UNAVAILABLE] proxy 127.0.0.1:1: no connection, connect ECONNREFUSED 127.0.0.1:1: nobody listens there: is it running, and is that its address?',
    );
    assert.include(asError(error.cause).message, 'ECONNREFUSED');
  });

  it('says that a name is not known, and that a socket is not there', async () => {
    assert.match((await call('no-such-host.invalid:7070')).text, /its name is not known/);
    assert.match((await call('unix:/nowhere/at/all.sock')).text, /there is no such socket/);
  });

  it('says that something else listens there', async () => {
    const web = await listen(createHttpServer((_, response) => response.end('hello')));
    assert.match((await call(web)).text, /no proxy|than a proxy/);
    const mute = await listen(createServer((socket) => socket.destroy()));
    assert.match((await call(mute)).text, /perhaps it wants TLS/);
  });

  it('keeps its words where it has none better', () => {
    const error = new FondacoError('UNAVAILABLE', 'no reply within 10 s');
    assert.strictEqual(linkError(error, 'p:1').text, 'proxy p:1: no reply within 10 s');
  });
});
