import { connect, type Socket } from 'node:net';
import { assert } from 'chai';
import { systemClock } from '../../../core/clock.ts';
import { formatAddress } from '../../../proxy/address.ts';
import { HttpSurface } from '../../../proxy/http/server.ts';
import { statusRoutes } from '../../../proxy/http/status-routes.ts';
import { Refusals } from '../../../proxy/caller-refusals.ts';
import { SurfaceKit } from '../../support/surface-kit.ts';
import { until } from '../../support/until.ts';

/** What came on a connection, and whether it is over. */
interface Heard {
  readonly socket: Socket;
  text: string;
  isClosed: boolean;
}

async function say(port: number, bytes: string, host = '127.0.0.1'): Promise<Heard> {
  const socket = connect(port, host);
  const heard: Heard = { socket, text: '', isClosed: false };
  socket.on('data', (chunk) => (heard.text += chunk.toString('latin1')));
  socket.on('error', () => undefined);
  socket.once('close', () => (heard.isClosed = true));
  await new Promise((resolve) => socket.once('connect', resolve).once('error', resolve));
  socket.write(bytes, 'latin1');
  return heard;
}

describe('HTTP protocol', function () {
  this.timeout(20_000);

  describe('what is no request', () => {
    let kit: SurfaceKit;
    let port: number;
    before(async () => {
      kit = await SurfaceKit.open();
      port = Number(new URL(kit.url).port);
    });
    after(async () => kit.stop());
    afterEach(async () => {
      const { status } = await kit.post({ type: 'a.Good', severity: 'info', message: 'after it' });
      assert.equal(status, 202);
    });

    const post = 'POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';
    const wrong: [what: string, bytes: string, status: number, code: string, says: RegExp][] = [
      ['bytes of something else', '\x00\x01garbage\r\n\r\n', 400, 'BAD_REQUEST', /^a request must be HTTP\/1\.1, got what is none: /],
      ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400, 'BAD_REQUEST', /^a request must be HTTP\/1\.1/],
      ['an unknown method', 'FOO /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n', 400, 'BAD_REQUEST', /Invalid method/],
      ['no host', 'GET /v1/events HTTP/1.1\r\n\r\n', 400, 'BAD_REQUEST', /^host must be given, got none$/],
      [
        'headers without end',
        `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}`,
        431,
        'TOO_LARGE',
        /^headers must be at most 16 KiB/,
      ],
      ['two lengths', `${post}Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345`, 400, 'BAD_REQUEST', /^a request must be HTTP/],
      [
        'a length and chunks',
        `${post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
        400,
        'BAD_REQUEST',
        /^a request must be HTTP/,
      ],
      ['a chunk of no size', `${post}Transfer-Encoding: chunked\r\n\r\nzz\r\n`, 400, 'BAD_REQUEST', /chunk|size/i],
      [
        'another expectation',
        `${post}Expect: 200-ok\r\nContent-Length: 5\r\n\r\n`,
        417,
        'EXPECTATION_FAILED',
        /^expect must be 100-continue, got "200-ok"$/,
      ],
      [
        'a path that is none',
        'GET /v1/events/%zz HTTP/1.1\r\nHost: localhost\r\n\r\n',
        400,
        'BAD_REQUEST',
        /^the path must be percent-encoded/,
      ],
      [
        'a name without end',
        `GET /v1/events/${'a'.repeat(3000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
        400,
        'BAD_REQUEST',
        /^a name in the path must be at most 1024/,
      ],
    ];
    for (const [what, bytes, status, code, says] of wrong) {
      it(`answers ${what} in the one form of an error`, async () => {
        const heard = await say(port, bytes);
        await until(what, () => /\}\}(\r\n0\r\n\r\n)?$/.test(heard.text) || heard.isClosed);
        heard.socket.destroy();
        assert.match(heard.text, new RegExp(`^HTTP/1.1 ${status} `));
        const body = JSON.parse(heard.text.slice(heard.text.indexOf('{'), heard.text.lastIndexOf('}') + 1)) as {
          error: { code: string; message: string };
        };
        assert.equal(body.error.code, code);
        assert.match(body.error.message, says);
        assert.isBelow(body.error.message.length, 300);
      });
    }

    it('lets nobody go on sending behind an answer', async () => {
      const heard = await say(port, `${post}Content-Length: 1000000000000\r\n\r\n`);
      const piece = Buffer.alloc(64 * 1024, 32);
      const pour = (): void => {
        while (!heard.isClosed && heard.socket.write(piece));
      };
      heard.socket.on('drain', pour);
      pour();
      await until('the answer', () => heard.text.includes('body must be at most'), 10_000);
      await until('the end', () => heard.isClosed, 10_000);
    });
  });

  it('closes connections beyond its limit, says so once, and takes others when there is room', async () => {
    const routes = [statusRoutes({ isReady: () => true, status: async () => ({}), ledger: async () => ({ isBalanced: true }) })];
    for (const host of ['127.0.0.1', 'localhost']) {
      const told: unknown[][] = [];
      const refusals = new Refusals(systemClock(), (...each) => told.push(each));
      const surface = await HttpSurface.open({
        address: { host, port: 0 },
        routes,
        onProblem: () => undefined,
        connectionsMax: 3,
        refusals,
      });
      const port = Number(formatAddress(surface.address).split(':').at(-1));
      const hosts = host === 'localhost' ? ['127.0.0.1', '::1'] : [host];
      for (const each of hosts) {
        const idle = await Promise.all(Array.from({ length: 3 }, () => say(port, '', each)));
        if (idle[0]!.socket.destroyed) continue; // not every machine has ::1
        const more = await Promise.all(Array.from({ length: 3 }, () => say(port, '', each)));
        await until(`closed at ${each}`, () => more.every(({ isClosed }) => isClosed));
        assert.isFalse(idle.some(({ isClosed }) => isClosed));
        for (const { socket } of idle) socket.destroy();
        await until('room again', async () => {
          const heard = await say(port, 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', each);
          await until('an end', () => heard.isClosed);
          return heard.text.includes('"ok"');
        });
      }
      await surface.close();
      assert.deepEqual(told, [[1, '127.0.0.1', 'at most 3 connections at a time']]);
    }
  });
});
