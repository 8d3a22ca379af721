import { PassThrough, Writable } from 'node:stream';
import { assert } from 'chai';
import { consoleLine, visible } from '../../writers/console-line.ts';
import { ConsoleWriter, consoleSettings, type Terminal } from '../../writers/console.ts';
import { failure, writerContract } from '../contract/writer-contract.ts';
import { deliveries, eventOf, nastyLines, plainLines } from '../support/deliveries.ts';
import { fromNative } from '../support/received.ts';

/** What is written, in the writes that came. While it hangs, a write waits. */
class Screen extends Writable {
  readonly writes: Buffer[] = [];
  isTTY: boolean;
  isHanging = false;
  isSlow = false;
  failure: Error | undefined;

  constructor(isTTY = false) {
    super({ decodeStrings: true });
    this.isTTY = isTTY;
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    if (this.isHanging) return;
    if (this.failure) {
      done(this.failure);
      return;
    }
    this.writes.push(chunk);
    if (this.isSlow) setTimeout(done, 20);
    else setImmediate(done);
  }

  get text(): string {
    return Buffer.concat(this.writes).toString();
  }
}

const open = async (stream: Terminal, format: 'auto' | 'text' | 'json' = 'auto', env = {}): Promise<ConsoleWriter> =>
  ConsoleWriter.open(consoleSettings.parse({ format }), { stream, env });
const never = new AbortController().signal;

writerContract('console off a terminal', {
  open: () => new Screen(),
  openWriter: async (screen) => open(screen),
  payloads: ({ writes }) => writes,
  received: ({ text }) => text.split('\n').slice(0, -1).map(fromNative),
  hang: (screen) => (screen.isHanging = true),
  slow: (screen) => (screen.isSlow = true),
  close: (screen) => void screen.destroy(),
});

describe('console writer', () => {
  const events = plainLines(1, 3).map((line, i) => eventOf(line, i + 1));

  it('writes one line an event, for people on a terminal and NDJSON off it', async () => {
    const [terminal, pipe, forced] = [new Screen(true), new Screen(false), new Screen(false)];
    await (await open(terminal)).write(deliveries(events), never);
    await (await open(pipe)).write(deliveries(events), never);
    await (await open(forced, 'text')).write(deliveries(events), never);
    assert.lengthOf(terminal.text.trimEnd().split('\n'), 3);
    assert.include(terminal.text, '\u001b[');
    assert.equal((JSON.parse(pipe.text.split('\n')[1]!) as { message: string }).message, 'tick 2');
    assert.equal(forced.text.split('\n')[0], '2026-11-22 08:00:00.123  INFO      test.Tick  tick 1  n1/test  {"i":1}');
  });

  it('leaves colours out for NO_COLOR and for a terminal that has none', async () => {
    const [screen, plain] = [new Screen(true), Object.assign(new Screen(true), { hasColors: () => false })];
    await (await open(screen, 'auto', { NO_COLOR: '1' })).write(deliveries(events), never);
    await (await open(plain)).write(deliveries(events), never);
    assert.notInclude(screen.text, '\u001b');
    assert.notInclude(plain.text, '\u001b');
  });

  it('shows object, count and attributes', () => {
    const event = eventOf(
      '{"type":"net.Down","severity":"critical","message":"m","time":"2026-11-22T08:00:00Z","object":{"kind":"If","name":"eth0"}}',
    );
    Object.assign(event, { revision: 1, count: 12 });
    assert.equal(consoleLine(event, false), '2026-11-22 08:00:00      CRITICAL  net.Down  m  [If/eth0]  ×12  n1/test');
  });

  it('lets no event move the cursor, break its line or turn the reading direction', () => {
    for (const line of nastyLines()) {
      const shown = consoleLine(eventOf(line), false);
      // eslint-disable-next-line no-control-regex -- they are what must not be there
      assert.notMatch(shown, /[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200b\ufeff]/);
    }
    assert.equal(visible('a\u001b[2Jb\nc\td\u0007\u009b\u202e'), 'a\\e[2Jb\\nc\\td\\u{7}\\u{9b}\\u{202e}');
    assert.equal(visible('👩‍🚀 é e\u0301 שלום'), '👩‍🚀 é e\u0301 שלום');
  });

  it('waits for a slow reader', async () => {
    const pipe = new PassThrough({ highWaterMark: 16 });
    const writer = await open(pipe);
    let isDone = false;
    const writing = writer.write(deliveries(events), never).then(() => (isDone = true));
    pipe.resume();
    await writing;
    assert.isTrue(isDone);
  });

  it('is REFUSED when the reader has gone, and stays so', async () => {
    const screen = new Screen();
    screen.failure = Object.assign(new Error('write EPIPE'), { code: 'EPIPE' });
    const writer = await open(screen);
    for (let i = 0; i < 2; i++) {
      const error = await failure(writer.write(deliveries(events), never));
      assert.equal(error.code, 'REFUSED');
      assert.include(error.message, 'EPIPE');
    }
  });
});
