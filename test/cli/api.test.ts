import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { assert } from 'chai';
import { askProxy, openStream } from '../../cli/api.ts';
import { asError, isFondacoError } from '../../core/errors.ts';

describe('the command line asks', () => {
  let server: Server | undefined;
  afterEach(async () => {
    server?.close();
    if (server) await once(server, 'close');
    server = undefined;
  });

  const listen = async (made: Server): Promise<{ url: string; tls: object; token: undefined }> => {
    server = made.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, tls: {}, token: undefined };
  };
  const failure = async (asking: Promise<unknown>): Promise<Error> => asking.then(() => assert.fail('it was answered'), asError);

  it('what is no proxy for events, and does not take its answer for a stream of them', async () => {
    const api = await listen(createHttpServer((_request, response) => response.end('ok')));
    const error = await failure(openStream(api, '/v1/events/stream', {}, AbortSignal.timeout(4000)));
    assert.isTrue(isFondacoError(error, 'UNAVAILABLE'));
    assert.match(error.message, /\/v1\/events\/stream must answer with an event stream, got 200 and nothing: is that a proxy\?$/);
  });

  it('what does not speak HTTP, and says so', async () => {
    const api = await listen(
      createServer((socket) =>
        socket
          .on('error', () => undefined)
          .resume()
          .end('\0\0\u0006\u0004\0\0\0\0\0'),
      ),
    );
    const error = await failure(askProxy(api, '/v1/status'));
    assert.isTrue(isFondacoError(error, 'UNAVAILABLE'));
    assert.include(error.message, 'what answers there does not speak HTTP');
  });
});
