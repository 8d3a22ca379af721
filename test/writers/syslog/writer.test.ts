import { execFileSync } from 'node:child_process';
import { assert } from 'chai';
import type { z } from 'zod';
import type { Socket } from 'node:net';
import type { EventInput } from '../../../testing/deliveries.ts';
import { NUMBER_MAX, RelpReader, relpFrame } from '../../../writers/syslog/relp-frames.ts';
import { syslogProblems, syslogSettings } from '../../../writers/syslog/settings.ts';
import { SyslogWriter } from '../../../writers/syslog/writer.ts';
import { failure, writerContract } from '../../contract/writer-contract.ts';
import { Authority, missingOpenssl, pems, type Issued } from '../../support/certificates.ts';
import { deliveries, eventOf, largeLine, plainLines } from '../../support/deliveries.ts';
import { asReceived, fromSyslog } from '../../support/from-syslog.ts';
import { SyslogReceiver, type Protocol } from '../../support/syslog-receiver.ts';
import { tempDirectory } from '../../support/temp-directory.ts';
import { until } from '../../support/until.ts';

type Settings = z.input<typeof syslogSettings>;
const never = new AbortController().signal;
const batch = deliveries(plainLines(1, 5).map((line, i) => eventOf(line, i + 1)));
const ticks = ['tick 1', 'tick 2', 'tick 3', 'tick 4', 'tick 5'];

async function open(settings: Settings, directory?: string): Promise<SyslogWriter> {
  return SyslogWriter.open(syslogSettings.parse(settings), directory === undefined ? {} : { directory });
}

const said = (receiver: SyslogReceiver): string[] => receiver.texts.map((text) => fromSyslog(text).message);

/** A receiver that can be replaced by another one at the same port. */
interface Place {
  receiver: SyslogReceiver;
  readonly older: Buffer[];
}

const KINDS: readonly [name: string, protocol: Protocol, settings: Omit<Settings, 'address'>, resend: 'at-least-once' | 'best-effort'][] = [
  ['udp', 'udp', { transport: 'udp', bytesMax: '65500B' }, 'best-effort'],
  ['tcp, octet counting', 'octet-counting', { transport: 'tcp', bytesMax: '1MiB' }, 'at-least-once'],
  ['tcp, lines, RFC 3164', 'lf', { transport: 'tcp', framing: 'lf', format: 'rfc3164', bytesMax: '1MiB' }, 'at-least-once'],
  ['relp', 'relp', { transport: 'relp', bytesMax: '1MiB' }, 'at-least-once'],
];

for (const [name, protocol, settings, resend] of KINDS) {
  const messages = ({ receiver, older }: Place): Buffer[] => [...older, ...receiver.messages];
  writerContract<Place>(`syslog, ${name}`, {
    resend,
    open: async () => ({ receiver: await SyslogReceiver.open({ protocol }), older: [] }),
    openWriter: async ({ receiver }) => open({ ...settings, address: `127.0.0.1:${receiver.port}` }),
    payloads: messages,
    received: (place) => messages(place).map((message) => asReceived(fromSyslog(String(message)))),
    hang: ({ receiver }) => {
      receiver.isHanging = true;
      if (protocol !== 'relp') for (const socket of receiver.sockets) socket.pause();
    },
    recover: ({ receiver }) => {
      receiver.isHanging = false;
      for (const socket of receiver.sockets) socket.resume();
    },
    restart: async (place) => {
      const { port, messages: taken } = place.receiver;
      await place.receiver.close();
      place.older.push(...taken);
      place.receiver = await SyslogReceiver.open({ protocol, port });
    },
    ...(protocol === 'relp' && { loseReply: loseRelpReply, poison: poisonRelp }),
    close: async ({ receiver }) => receiver.close(),
    openUnreachable: async () => {
      const receiver = await SyslogReceiver.open({ protocol });
      await receiver.close();
      return open({ ...settings, address: `127.0.0.1:${receiver.port}` });
    },
  });
}

/** All that the connection of the next message brings is taken, and nothing is said of it. */
function loseRelpReply({ receiver }: Place): void {
  const { answer } = receiver;
  let lost: Socket | undefined;
  receiver.answer = (frame, socket) => {
    if (frame.command !== 'syslog' || socket !== (lost ??= socket)) return answer(frame, socket);
    receiver.messages.push(frame.data);
    socket.destroy();
    return undefined;
  };
}

function poisonRelp({ receiver }: Place): EventInput {
  const { answer } = receiver;
  receiver.answer = (frame, socket) => (frame.data.includes('test.Poison') ? '500 not this' : answer(frame, socket));
  return { type: 'test.Poison', severity: 'warn', message: 'nobody takes this' };
}

describe('syslog writer', () => {
  let receiver: SyslogReceiver;
  let writer: SyslogWriter;

  const start = async (protocol: Protocol, settings: Omit<Settings, 'address'>): Promise<void> => {
    receiver = await SyslogReceiver.open({ protocol });
    writer = await open({ ...settings, address: `127.0.0.1:${receiver.port}` });
  };
  const arrived = async (count: number): Promise<void> => until(`${count} arrived`, () => receiver.messages.length >= count);

  afterEach(async () => {
    await writer.close();
    await receiver.close();
  });

  describe('over TCP', () => {
    for (const isRude of [false, true]) {
      it(`knows that its connection was closed (${isRude ? 'RST' : 'FIN'}) before it writes again, says so once, and goes on with a new one`, async () => {
        await start('octet-counting', { transport: 'tcp' });
        await writer.write(batch, never);
        await arrived(5);
        assert.isFalse(writer.hasBroken('normal'));
        receiver.breakOff({ isRude });
        await until('it has noticed', () => writer.hasBroken('normal'));
        assert.isFalse(writer.hasBroken('urgent'));
        const error = await failure(writer.write(batch, never));
        assert.equal(error.code, 'UNAVAILABLE');
        assert.match(error.message, /what was sent last may not have arrived, and comes again/);
        assert.isUndefined(error.facts.unreachable);
        assert.isFalse(writer.hasBroken('normal'));
        await writer.write(batch, never);
        await arrived(10);
        assert.lengthOf(receiver.messages, 10);
      });
    }

    it('gives no fault of a connection that was idle for longer than anything waits for its confirmation', async () => {
      let now = 0;
      receiver = await SyslogReceiver.open({ protocol: 'octet-counting' });
      const clock = { now: () => now, monotonic: () => now, sleep: async () => undefined };
      writer = await SyslogWriter.open(syslogSettings.parse({ transport: 'tcp', address: `127.0.0.1:${receiver.port}` }), { clock });
      await writer.write(batch, never);
      await arrived(5);
      receiver.breakOff();
      await until('it has noticed', () => writer.hasBroken('normal'));
      now += 60_000;
      await writer.write(batch, never);
      await arrived(10);
    });

    it('is UNAVAILABLE when the server does not read, after its timeout, and begins anew', async () => {
      await start('octet-counting', { transport: 'tcp', timeout: '300ms', bytesMax: '1MiB' });
      await writer.write(batch, never);
      await arrived(5);
      for (const socket of receiver.sockets) socket.pause();
      const large = deliveries(Array.from({ length: 300 }, (_, i) => eventOf(largeLine(), i + 1)));
      const error = await failure(writer.write(large, never));
      assert.match(error.message, /must be done within 300 ms/);
      await writer.write(batch, never);
      assert.equal(receiver.connections, 2);
    });

    it('has a resend window, which UDP and RELP have not', async () => {
      await start('octet-counting', { transport: 'tcp' });
      const window = async (settings: Omit<Settings, 'address'>): Promise<number | undefined> =>
        (await open({ ...settings, address: 'h' })).resendWindow;
      assert.equal(writer.resendWindow, 1000);
      assert.equal(await window({ transport: 'tls', resendWindow: 7 }), 7);
      assert.isUndefined(await window({ transport: 'udp' }));
      assert.isUndefined(await window({ transport: 'relp' }));
    });

    it('has a connection for each lane', async () => {
      await start('octet-counting', { transport: 'tcp' });
      await writer.write(batch, never);
      await writer.write(deliveries([batch[0]!.event], { lane: 'urgent' }), never);
      await arrived(6);
      assert.equal(receiver.connections, 2);
    });
  });

  describe('over UDP', () => {
    it('sends a message a datagram, and nothing again that nobody has refused', async () => {
      await start('udp', { transport: 'udp' });
      await writer.write(batch, never);
      await arrived(5);
      assert.deepEqual(said(receiver), ticks);
    });

    it('hears that nobody listens any more, and goes on when somebody does', async () => {
      await start('udp', { transport: 'udp' });
      await writer.write(batch, never);
      await arrived(5);
      const { port } = receiver;
      await receiver.close();
      const error = await failure(writer.write(batch, never));
      assert.equal(error.code, 'UNAVAILABLE');
      assert.match(error.message, /ECONNREFUSED/);
      assert.isTrue(error.facts.unreachable);
      receiver = await SyslogReceiver.open({ protocol: 'udp', port });
      await writer.write(batch, never);
      await arrived(5);
    });

    it('cuts what is too large for its limit', async () => {
      await start('udp', { transport: 'udp', bytesMax: '2KiB' });
      await writer.write(deliveries([eventOf(largeLine())]), never);
      await arrived(1);
      assert.isAtMost(receiver.messages[0]!.length, 2048);
      assert.include(fromSyslog(receiver.texts[0]!).cut, 'attributes');
    });

    it('never tries again what can never succeed', async () => {
      receiver = await SyslogReceiver.open({ protocol: 'udp' });
      // The settings refuse this limit: no datagram is so large.
      writer = await open({ transport: 'udp', address: `127.0.0.1:${receiver.port}`, bytesMax: '1MiB' });
      const event = eventOf(largeLine());
      event.message = 'x'.repeat(70_000);
      const error = await failure(writer.write(deliveries([event]), never));
      assert.equal(error.code, 'REJECTED');
      assert.match(error.message, /EMSGSIZE.*bytesMax must be lower/);
      writer = await open({ transport: 'udp', address: '255.255.255.255:514' });
      assert.equal((await failure(writer.write(batch, never))).code, 'REFUSED');
    });
  });

  describe('over RELP', () => {
    it('opens a session with its offers, numbers its frames, keeps to its window, and says good-bye', async () => {
      await start('relp', { transport: 'relp', relpWindow: 2 });
      const waiting: (() => void)[] = [];
      receiver.answer = ({ number, command }, socket) => {
        if (command === 'open') return '200 OK\nrelp_version=0\ncommands=eventlog,syslog';
        waiting.push(() => socket.write(relpFrame(number, 'rsp', Buffer.from('200 OK'))));
        return undefined;
      };
      const writing = writer.write(batch, never);
      for (let answered = 0; answered < 5; answered++) {
        await until('the next is there', () => waiting.length > answered);
        assert.isAtMost(waiting.length - answered, 2);
        waiting[answered]!();
      }
      await writing;
      await writer.close();
      await until('the good-bye is there', () => receiver.relpFrames.length === 7);
      assert.deepEqual(
        receiver.relpFrames.map(({ number, command }) => [number, command]),
        [[1, 'open'], ...[2, 3, 4, 5, 6].map((number) => [number, 'syslog']), [7, 'close']],
      );
      assert.equal(String(receiver.relpFrames[0]!.data), 'relp_version=0\nrelp_software=fondaco\ncommands=syslog');
    });

    it('takes answers in any order and in pieces', async () => {
      await start('relp', { transport: 'relp' });
      const numbers: number[] = [];
      receiver.answer = ({ number, command }, socket) => {
        if (command === 'open') return '200 OK\ncommands=syslog';
        if (numbers.push(number) === 5) {
          const bytes = Buffer.concat(numbers.reverse().map((each) => relpFrame(each, 'rsp', Buffer.from('200 OK'))));
          for (const byte of bytes) socket.write(Buffer.of(byte));
        }
        return undefined;
      };
      await writer.write(batch, never);
      assert.lengthOf(numbers, 5);
    });

    it('is REJECTED where a message is answered with 500, after all that were sent are answered', async () => {
      await start('relp', { transport: 'relp' });
      let syslogs = 0;
      receiver.answer = ({ command }) =>
        command === 'open' ? '200 OK\ncommands=syslog' : ++syslogs === 3 ? '500 I do not like it' : '200 OK';
      const error = await failure(writer.write(batch, never));
      assert.equal(error.code, 'REJECTED');
      assert.deepInclude(error.facts, { status: '500', answer: '500 I do not like it' });
      assert.deepEqual(said(receiver), ['tick 1', 'tick 2', 'tick 4', 'tick 5']);
      await writer.write(batch, never);
      assert.equal(receiver.connections, 1);
    });

    for (const [what, answer] of [
      ['refuses the session', '500 not you'],
      ['does not take syslog', '200 OK\ncommands=eventlog'],
    ] as const) {
      it(`is REFUSED by a server that ${what}`, async () => {
        await start('relp', { transport: 'relp' });
        receiver.answer = () => answer;
        const error = await failure(writer.write(batch, never));
        assert.equal(error.code, 'REFUSED');
        assert.match(error.message, /must be opened with 200 and the command syslog, got/);
      });
    }

    it('is UNAVAILABLE where the connection breaks before the last answer, and everything comes again', async () => {
      await start('relp', { transport: 'relp' });
      const usual = receiver.answer;
      receiver.answer = (frame, socket) => (receiver.relpFrames.length === 4 ? (socket.destroy(), undefined) : usual(frame, socket));
      assert.equal((await failure(writer.write(batch, never))).code, 'UNAVAILABLE');
      await writer.write(batch, never);
      assert.deepEqual(said(receiver).slice(-5), ticks);
      assert.deepEqual([...new Set(said(receiver))].sort(), ticks);
    });

    it('is not disturbed by a server that closes the session after its last answer, or while nothing is under way', async () => {
      await start('relp', { transport: 'relp' });
      const usual = receiver.answer;
      receiver.answer = (frame, socket) => {
        const { number } = frame;
        if (number !== 6) return usual(frame, socket);
        receiver.messages.push(frame.data);
        socket.end(Buffer.concat([relpFrame(number, 'rsp', Buffer.from('200 OK')), relpFrame(0, 'serverclose', Buffer.alloc(0))]));
        return undefined;
      };
      await writer.write(batch, never);
      await until('the server has closed it', () => receiver.sockets.size === 0);
      await writer.write(batch, never);
      assert.lengthOf(receiver.messages, 10);
    });

    it('is UNAVAILABLE, saying why, where the other side does not speak RELP', async () => {
      await start('relp', { transport: 'relp' });
      receiver.answer = (_, socket) => (socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'), undefined);
      assert.match((await failure(writer.write(batch, never))).message, /what it says is not RELP: "HTTP/);
    });

    it('ends what is under way when it is closed', async () => {
      await start('relp', { transport: 'relp' });
      receiver.answer = ({ command }) => (command === 'open' ? '200 OK\ncommands=syslog' : undefined);
      const failed = failure(writer.write(batch, never));
      await until('it waits for answers', () => receiver.relpFrames.length === 6);
      await writer.close();
      assert.equal((await failed).code, 'UNAVAILABLE');
    });

    it('is UNAVAILABLE without answers in time', async () => {
      await start('relp', { transport: 'relp', timeout: '200ms' });
      receiver.answer = ({ command }) => (command === 'open' ? '200 OK\ncommands=syslog' : undefined);
      assert.match((await failure(writer.write(batch, never))).message, /must be done within 200 ms/);
    });
  });

  const missing = missingOpenssl();
  (missing === undefined ? describe : describe.skip)(`over TLS${missing === undefined ? '' : ` (${missing})`}`, () => {
    let folder: Awaited<ReturnType<typeof tempDirectory>>;
    let authority: Authority;
    let server: Issued;
    let client: Issued;

    before(async () => {
      folder = await tempDirectory();
      authority = new Authority(folder.path);
      server = authority.issue('server');
      client = authority.issue('client');
    });
    after(async () => folder.remove());

    for (const [transport, protocol] of [
      ['tls', 'octet-counting'],
      ['relp', 'relp'],
    ] as const) {
      it(`${transport}: shows its certificate to a server that wants one, and is told why where it has none or a stranger's`, async () => {
        const ca = execFileSync('cat', [authority.ca], { encoding: 'utf8' });
        receiver = await SyslogReceiver.open({ protocol, tls: { ...pems(server), ca, requestCert: true } });
        const address = `localhost:${receiver.port}`;
        writer = await open({ transport, address, tls: { ca: 'ca.pem', cert: client.cert, key: client.key } }, folder.path);
        await writer.write(batch, never);
        await arrived(5);
        await writer.close();
        writer = await open({ transport, address, tls: { ca: 'ca.pem' } }, folder.path);
        const error = await failure(writer.write(batch, never));
        assert.equal(error.code, 'UNAVAILABLE');
        assert.match(error.message, /client certificate|closed the connection|ECONNRESET/);
        assert.isTrue(error.facts.unreachable);
        await writer.close();
        writer = await open({ transport, address, tls: {} }, folder.path);
        assert.match((await failure(writer.write(batch, never))).message, /is of a CA that is not trusted here/);
        assert.lengthOf(receiver.messages, 5);
      });
    }

    it('is REFUSED where a file cannot be used, which is named', async () => {
      receiver = await SyslogReceiver.open({ protocol: 'lf' });
      const error = await failure(open({ transport: 'tls', address: 'h', tls: { ca: 'none.pem' } }, folder.path).then(() => undefined));
      assert.equal(error.code, 'REFUSED');
      assert.match(error.message, /tls\.ca must be .*none\.pem/);
      writer = await open({ transport: 'tls', address: `127.0.0.1:${receiver.port}`, connectTimeout: '200ms' });
      assert.match((await failure(writer.write(batch, never))).message, /no connection within 200 ms/);
    });
  });
});

describe('settings of a syslog writer', () => {
  const problems = (settings: object): string[] =>
    syslogProblems(syslogSettings.parse({ address: 'h', transport: 'udp', ...settings })).map(
      ({ key, message }) => `${key.join('.')} ${message}`,
    );

  it('take addresses with and without ports, IPv6 in brackets', () => {
    for (const address of ['h', 'h:1', 'logs.example:65535', '10.0.0.1:514', '[::1]:514', '::1', '[fe80::1]'])
      assert.isTrue(syslogSettings.shape.address.safeParse(address).success, address);
    for (const address of ['', ':514', 'h:0', 'h:65536', 'h:x', 'udp://h', '[h]:1', 'a b', 'h:1:2'])
      assert.isFalse(syslogSettings.shape.address.safeParse(address).success, address);
  });

  it('say what does not go together', () => {
    assert.deepEqual(problems({ framing: 'lf', resendWindow: 5, relpWindow: 5, keepAlive: '5s', tls: {}, timezone: 'utc' }), [
      'framing must stand beside transport tcp or tls only',
      'resendWindow must stand beside transport tcp or tls only',
      'relpWindow must stand beside transport relp only',
      'keepAlive must stand beside transport tcp, tls or relp only',
      'tls must stand beside transport tls or relp only',
      'timezone must stand beside format rfc3164 only',
    ]);
    assert.deepEqual(problems({ bytesMax: '64KiB' }), [
      'bytesMax must be at most 65507 bytes with transport udp, which no datagram exceeds',
    ]);
    assert.deepEqual(problems({ transport: 'tls', tls: { cert: 'c' }, timeout: '1s', connectTimeout: '2s' }), [
      'tls.cert must have its key beside it, in tls.key',
      'connectTimeout must be at most timeout',
    ]);
    assert.deepEqual(problems({}), []);
  });

  it('take templates of known names alone', () => {
    for (const good of ['{node}', 'edge', '{site}-{node}.example'])
      assert.isTrue(syslogSettings.shape.hostname.safeParse(good).success, good);
    for (const bad of ['', '{host}', 'a b', '{node', 'ö', '{}']) assert.isFalse(syslogSettings.shape.hostname.safeParse(bad).success, bad);
  });
});

describe('frames of RELP', () => {
  it('are read whole, in pieces and together, with any data', () => {
    const frames: [number, string, Buffer][] = [
      [1, 'rsp', Buffer.from('200 OK')],
      [NUMBER_MAX, 'rsp', Buffer.from('line\nbreak \u0000')],
      [0, 'serverclose', Buffer.alloc(0)],
    ];
    const bytes = Buffer.concat(frames.map((frame) => relpFrame(...frame)));
    for (let size = 1; size <= bytes.length; size++) {
      const reader = new RelpReader();
      const read: unknown[] = [];
      for (let at = 0; at < bytes.length; at += size) read.push(...reader.push(bytes.subarray(at, at + size)));
      assert.deepEqual(
        read,
        frames.map(([number, command, data]) => ({ number, command, data })),
      );
    }
    assert.deepEqual(new RelpReader().push(Buffer.from('7 rsp 0 \n'))[0]?.number, 7);
  });

  for (const text of ['x', '1  rsp', '1 rsp 6 200 OKx', '1 rsp 999999999 ', '1234567890 rsp', '1 r5p 0\n']) {
    it(`are not ${JSON.stringify(text)}`, () => assert.throws(() => new RelpReader().push(Buffer.from(text))));
  }
});
