/**
 * Mistakes in calls, one rule each: what the host is told (code, field, expected, got), by event(), by record() and in strict mode; that the
 * host lives, that the mistake is counted, and that the same recorder delivers the good events around it.
 */
import { assert } from 'chai';
import { isFondacoError } from '../../core/errors.ts';
import type { EventDetails } from '../../core/event-input.ts';
import type { Severity } from '../../core/severity.ts';
import type { Recorder } from '../../recorder/index.ts';
import { MemoryRecorder } from '../../recorder/testing.ts';
import { RecorderKit } from '../support/recorder-kit.ts';
import type { ScriptedProxy } from '../support/scripted-proxy.ts';

const kit = new RecorderKit();
const circular: Record<string, unknown> = {};
circular.self = circular;
const hostile = {
  get message(): string {
    throw new Error('a getter of the host');
  },
};

/** As a host in JavaScript calls: anything. */
type Call = readonly [type?: unknown, severity?: unknown, message?: unknown, details?: unknown];

const TYPE = 'type must be a letter, then up to 127 letters, digits or any of _ . -, got';
const SEVERITY = 'severity must be one of debug, info, warn, error, critical, got';
const TIME = 'time must be RFC 3339 such as 2026-11-22T08:00:00.123456Z, seconds 00 to 59, got';
const good = (details: unknown): Call => ['a.B', 'info', 'm', details];

const CALLS: [what: string, call: Call, says: string | RegExp][] = [
  ['nothing at all', [], `${TYPE} nothing`],
  ['a type with a space', ['a B', 'info', 'm'], `${TYPE} "a B"`],
  ['a type of 129 characters', ['t'.repeat(129), 'info', 'm'], `${TYPE} "${'t'.repeat(59)}… (129 characters)`],
  ['a severity unknown', ['a.B', 'fatal', 'm'], `${SEVERITY} "fatal"`],
  ['a severity as a number', ['a.B', 13, 'm'], `${SEVERITY} 13`],
  ['no message', ['a.B', 'info'], 'message must be a string, got nothing'],
  ['an Error as message', ['a.B', 'info', new Error('x')], 'message must be a string, got {}'],
  [
    'a message of 8,194 bytes in 4,097 characters',
    ['a.B', 'info', 'é'.repeat(4097)],
    /^message must be at most 8192 bytes of UTF-8, got 8194$/,
  ],
  ['details that are text', good('text'), 'details must be an object, got "text"'],
  ['a detail unknown', good({ atributes: {} }), /^details has an unknown key, expected any of object, attributes, .*, got "atributes"$/],
  [
    'details with a getter that throws',
    good({
      get object() {
        throw new Error('a getter of the host');
      },
    }),
    /a getter of the host/,
  ],
  ['an object that is text', good({ object: 'n1' }), 'object must be an object with any of kind, name, namespace, tenant, uri, got "n1"'],
  ['an object name of 257 bytes', good({ object: { name: 'n'.repeat(257) } }), 'object.name must be at most 256 bytes of UTF-8, got 257'],
  ['an object field unknown', good({ object: { id: 'x' } }), /^object has an unknown key, expected any of kind, .*, got "id"$/],
  ['attributes that are a list', good({ attributes: [1] }), 'attributes must be a JSON object, got [1]'],
  ['attributes that go round', good({ attributes: circular }), /^attributes must be what JSON can hold, /],
  ['attributes with a getter that throws', good({ attributes: hostile }), 'attributes must be what JSON can hold, a getter of the host'],
  [
    'attributes of 32,769 bytes',
    good({ attributes: { k: 'v'.repeat(32_761) } }),
    'attributes must be at most 32768 bytes of UTF-8, got 32769',
  ],
  [
    '2^53 + 1 in attributes',
    good({ attributes: { n: 2 ** 53 + 2 } }),
    'attributes must hold no integer beyond 2^53, got 9007199254740994: send it as a string',
  ],
  ['a bigint in attributes', good({ attributes: { n: 1n } }), /^attributes must be what JSON can hold, /],
  ['a leap second', good({ time: '2016-12-31T23:59:60Z' }), `${TIME} "2016-12-31T23:59:60Z"`],
  ['a time as a number', good({ time: 0 }), `${TIME} 0`],
  ['an invalid Date', good({ time: new Date(Number.NaN) }), `${TIME} null`],
  ['a source with a site', good({ source: { site: 's' } }), 'source has an unknown key, expected any of node, component, got "site"'],
  ['a dedupKey of 257 bytes', good({ dedupKey: 'k'.repeat(257) }), 'dedupKey must be at most 256 bytes of UTF-8, got 257'],
  ['a traceparent as an object', good({ traceparent: {} }), 'traceparent must be a string, got {}'],
];

const event = (recorder: Pick<Recorder, 'event'>, [type, severity, message, details]: Call): string | undefined =>
  recorder.event(type as string, severity as Severity, message as string, details as EventDetails);
const record = (recorder: Recorder, [type, severity, message, details]: Call): Promise<unknown> =>
  recorder.record(type as string, severity as Severity, message as string, details as EventDetails);

function assertSays(error: unknown, says: string | RegExp): void {
  assert.isTrue(isFondacoError(error, 'REJECTED'), String(error));
  if (!isFondacoError(error)) return;
  if (typeof says === 'string') assert.equal(error.text, says);
  else assert.match(error.text, says);
}

function thrownBy(run: () => unknown, what: string): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error(`${what}: nothing was thrown`);
}

describe('bad calls', () => {
  let proxy: ScriptedProxy;

  beforeEach(async () => {
    await kit.start();
    proxy = await kit.proxy();
  });
  afterEach(() => kit.end());

  for (const [what, call, says] of CALLS) {
    it(`${what}: event() reports, record() rejects, and the good events around it arrive`, async () => {
      const recorder = await kit.open(proxy);
      recorder.event('a.Good', 'info', 'before');
      assert.isUndefined(event(recorder, call));
      assert.lengthOf(kit.errors, 1);
      assertSays(kit.errors[0], says);
      recorder.event('a.Good', 'info', 'between');
      const failure: unknown = await record(recorder, call).then(
        () => undefined,
        (error: unknown) => error,
      );
      assertSays(failure, says);
      assert.equal((await recorder.record('a.Good', 'info', 'after')).level, 'proxy');
      assert.deepEqual(proxy.messages, ['before', 'between', 'after']);
      assert.deepInclude(recorder.status().ledger, { recorded: 5, settled: 3, rejected: 2, dropped: 0 });
      const { recorded, ...rest } = recorder.status().ledger;
      assert.equal(recorded, rest.settled + rest.spooled + rest.queued + rest.dropped + rest.rejected);
    });
  }

  it('each of them is thrown where strict is set, and the recorder goes on', async () => {
    const recorder = await kit.open(proxy, { strict: true });
    for (const [what, call, says] of CALLS)
      assertSays(
        thrownBy(() => event(recorder, call), what),
        says,
      );
    recorder.event('a.Good', 'info', 'after all of them');
    await recorder.flush();
    assert.deepEqual(proxy.messages, ['after all of them']);
    assert.equal(recorder.status().ledger.rejected, CALLS.length);
  });

  it('each of them is refused in the same words by the recorder that tests use', () => {
    const memory = new MemoryRecorder();
    for (const [what, call, says] of CALLS)
      assertSays(
        thrownBy(() => event(memory, call), what),
        says,
      );
    assert.isEmpty(memory.events);
    assert.equal(memory.status().ledger.rejected, CALLS.length);
  });

  it('an onError that throws harms nothing', async () => {
    const recorder = await kit.open(proxy, {
      onError: () => {
        throw new Error('a bug of the host');
      },
    });
    assert.isUndefined(event(recorder, CALLS[0]![1]));
    assert.equal((await recorder.record('a.Good', 'info', 'still there')).level, 'proxy');
    assert.deepInclude(recorder.status().ledger, { recorded: 2, settled: 1, rejected: 1 });
  });
});
