import { assert } from 'chai';
import { needsAttention, statusScreen, type StatusView } from '../../cli/status.ts';
import { bytes, cut, screenColumns, screenRows, terminalJson } from '../../cli/text.ts';
import { writerList } from '../../cli/writer.ts';
import type { WriterView } from '../../cli/writer-view.ts';

const TERMINAL = { isTTY: true, columns: 80, rows: 24 };
const lane = { pending: 0, oldestAgeMs: 0, attempts: 0, nextAttemptInMs: 0, series: '0199', seq: 7 };

function writer(name: string, more: Partial<WriterView> = {}): WriterView {
  return { name, kind: 'http', state: 'delivering', dead: 0, lanes: { urgent: lane, normal: lane }, ...more };
}

function status(more: Partial<StatusView> = {}): StatusView {
  return {
    site: 'plant-7',
    node: 'host',
    data: '/data',
    version: '0.1.0',
    startedAt: '2026-11-22T08:00:00.000Z',
    uptimeMs: 93_784_000,
    isReady: true,
    accepted: { urgent: 12, normal: 1_234_567 },
    acceptedSinceStart: 4321,
    rejected: 0,
    lost: 0,
    dropped: 0,
    purged: 0,
    unreported: 0,
    isBalanced: true,
    inputs: [
      { name: 'grpc', accepted: 4300, rejected: 2 },
      { name: 'http', accepted: 21, refused: 3 },
    ],
    windows: { open: 1, held: 4 },
    journal: { bytes: 1.2 * 1024 ** 3, bytesMax: 4 * 1024 ** 3, retentionMs: 604_800_000, isLow: false },
    writers: [writer('ops')],
    departed: [],
    ...more,
  };
}

/** An hour before what the proxy's clock says. */
const lately = '2026-11-23T09:03:04.000Z';
const full = writer('ops', { state: 'refused', dead: 10_000, isFull: true });

const failing = {
  state: 'retrying',
  lanes: { urgent: lane, normal: { ...lane, pending: 1234, oldestAgeMs: 303_000, attempts: 3, nextAttemptInMs: 4100 } },
  lastError: { message: '[UNAVAILABLE] http://ops/events answered 503', status: '503', answer: 'down \u001b[2J for\nnow', at: '' },
};

describe('status screen', () => {
  it('says where a delivery is worth less than at least once, and so does the list of writers', () => {
    const writers = [
      writer('ops', { promise: 'at least once' }),
      writer('old', { kind: 'syslog', promise: 'best effort' }),
      writer('logs', { kind: 'syslog', promise: 'at least once within 1000 events' }),
    ];
    const screen = statusScreen(status({ writers }), TERMINAL);
    assert.include(screen, '\n\ndelivered is: old best effort; logs at least once within 1000 events');
    assert.notInclude(statusScreen(status({ writers: writers.slice(0, 1) })), 'delivered is');
    assert.match(writerList(writers, 120), /old .* syslog, best effort\n/);
  });

  it('says what a destination should have mended although it delivers, and so does the list of writers', () => {
    const writers = [writer('ops', { warnings: ['its clock is 125 s ahead of\u001b the one here'] }), writer('logs')];
    const says = 'ops: its clock is 125 s ahead of\\e the one here';
    const told = status({ writers });
    assert.isTrue(statusScreen(told, TERMINAL).endsWith(`\n\n${says}`), statusScreen(told));
    assert.isTrue(writerList(writers, 120).endsWith(`\n\n${says}`));
    assert.isFalse(needsAttention(told), 'it is no fault of the proxy');
    const many = [writer('ops', { warnings: Array.from({ length: 10 }, (_, i) => `${i} ${'x'.repeat(500)}`) })];
    assert.isAtMost(statusScreen(status({ writers: many }), TERMINAL).split('\n').length, 24);
  });

  it('says whose backlog keeps everybody waiting, and what is left of a writer that is gone', () => {
    const refusal = 'the backlog of writer ops has reached its bytesMax of 1048576';
    const told = status({ isReady: false, journal: { ...status().journal, refusal }, departed: [{ name: 'old', dead: 10 }] });
    assert.isTrue(needsAttention(told));
    const screen = statusScreen(told);
    assert.include(screen, `ingest: ${refusal}; agents keep events in their spools`);
    assert.notInclude(screen, 'the disk is full');
    assert.include(screen, 'old: 10 dead letters of a writer that the config no longer has');
    assert.include(screen, 'fondaco dead-letter purge --all old');
    assert.isTrue(needsAttention(status({ departed: [{ name: 'old', dead: 10 }] })));
  });

  it('is quiet when all is well', () => {
    assert.isFalse(needsAttention(status()));
    assert.equal(
      statusScreen(status()),
      `site      plant-7    fondaco 0.1.0, up 1 d 2 h (since 2026-11-22T08:00:00.000Z)
ingest    ready
accepted  1,234,579 events (12 urgent), 4,321 since the start: grpc 4,300 (2 rejected), http 21 (3 refused)
rejected  0    lost 0    dropped 0
journal   1.2 GiB of 4 GiB
ledger    balanced, 1 open window

writer  state       urgent  normal  oldest  dead  tries  next
ops     delivering       0       0       -     0      -     -`,
    );
  });

  it('shows what a writer said, harmless for a terminal, and that nothing is to be done', () => {
    const screen = statusScreen(status({ writers: [writer('ops', failing)] }));
    assert.include(screen, '\nops     retrying       0   1,234  5 m 3 s     0      3  4.1 s\n');
    assert.include(screen, '\nops: [UNAVAILABLE] http://ops/events answered 503\n  it answered: down \\e[2J for\\nnow\n');
    assert.match(screen, /→ nothing: it is tried again, everything is kept$/);
    assert.notInclude(screen, '\u001b');
  });

  it('does not say that dead letters died of what failed last', () => {
    const lastError = { code: 'UNAVAILABLE', message: '[UNAVAILABLE] connect ECONNREFUSED', at: '2026-01-01T00:00:00Z' };
    const screen = statusScreen(status({ writers: [writer('ops', { dead: 2, lastError })] }));
    assert.include(
      screen,
      '\nops: 2 dead letters; it failed last with [UNAVAILABLE] connect ECONNREFUSED\n  → fondaco dead-letter list ops',
    );
  });

  const steps: [what: string, more: Partial<StatusView>, step: string][] = [
    ['dead letters', { writers: [writer('ops', { dead: 2 })] }, '→ fondaco dead-letter list ops'],
    ['a suspended writer', { writers: [writer('ops', { state: 'suspended' })] }, '→ fondaco writer resume ops'],
    [
      'a paused writer',
      { writers: [writer('ops', { state: 'paused', pausedSince: '2026-11-22T07:00:00.000Z' })] },
      '→ fondaco writer resume ops',
    ],
    ['a refused writer', { writers: [writer('ops', { state: 'refused' })] }, 'then fondaco writer resume ops'],
    ['a state of a later version', { writers: [writer('ops', { state: 'asleep\u0007' })] }, 'ops: asleep\\u{7}'],
    ['a loss', { lost: 3, lostAt: lately }, '→ fondaco event list --type fondaco.Loss'],
    ['drops', { dropped: 1, lostAt: lately }, '→ fondaco ledger show; fondaco event list --type fondaco.Loss'],
    ['what no summary counts', { unreported: 1, lostAt: lately }, '→ fondaco ledger show'],
    [
      'retries beside old dead letters',
      { writers: [writer('ops', { ...failing, dead: 1 })] },
      'it is tried again, everything is kept\n  → fo',
    ],
    [
      'a wait of hours that the destination asked for',
      { writers: [writer('ops', { ...failing, lanes: { urgent: lane, normal: { ...failing.lanes.normal, askedInMs: 14_400_000 } } })] },
      '→ fondaco writer resume ops, to try before the 4 h are over that it asked for; everything is kept',
    ],
    [
      'a wait of a minute that the destination asked for',
      { writers: [writer('ops', { ...failing, lanes: { urgent: lane, normal: { ...failing.lanes.normal, askedInMs: 60_000 } } })] },
      '→ nothing: it is tried again',
    ],
    ['no room for dead letters', { writers: [full] }, '→ fondaco dead-letter list ops; it goes on when some are replayed or purged'],
    ['books that do not balance', { isBalanced: false }, '→ fondaco ledger verify'],
    ['a proxy that is not ready', { isReady: false }, '→ fondaco doctor'],
    ['a full journal', { journal: { ...status().journal, refusal: 'writer ops refuses' } }, 'NOTHING IS TAKEN: writer ops refuses'],
    ['a full disk', { journal: { ...status().journal, isLow: true } }, ', THE DISK IS FULL'],
  ];
  for (const [what, more, step] of steps) {
    it(`says what to type next for ${what}`, () => {
      assert.isTrue(needsAttention(status(more)));
      assert.include(statusScreen(status(more)), step);
    });
  }

  it('counts what was purged, which nobody has to see to', () => {
    const purged = status({ dropped: 3, purged: 3 });
    assert.isFalse(needsAttention(purged));
    assert.include(statusScreen(purged), '\nrejected  0    lost 0    dropped 3 (3 purged)\n');
    assert.notInclude(statusScreen(purged), '→');
  });

  it('is alarmed by a loss for a day, and tells it for good', () => {
    const fresh = status({ lost: 2, dropped: 4, purged: 1, lostAt: lately });
    assert.isTrue(needsAttention(fresh));
    assert.include(statusScreen(fresh), '\nrejected  0    lost 2    dropped 4 (1 purged)    last loss 1 h ago\n');
    assert.include(statusScreen(fresh), '\n3 events that a writer will never get');
    const old = status({ lost: 2, dropped: 4, purged: 1, lostAt: '2026-11-20T10:03:04.000Z' });
    assert.isFalse(needsAttention(old));
    assert.include(statusScreen(old), 'lost 2    dropped 4 (1 purged)    last loss 3 d ago\n');
    assert.notInclude(statusScreen(old), '→');
    assert.isTrue(needsAttention(status({ lost: 1, lostAt: '2026-11-24T08:00:00.000Z' })), 'a clock that was set back');
  });

  it('fits 80 x 24 with 8 writers in trouble and long names, the worst first', () => {
    const states = ['retrying', 'refused', 'suspended', 'paused', 'retrying', 'refused', 'delivering', 'retrying'];
    const writers = states.map((state, i) =>
      writer(`writer-with-a-name-that-is-far-too-long-for-a-screen-${i}`, { ...failing, state, dead: 10_000 }),
    );
    const screen = statusScreen(status({ writers, lost: 1, lostAt: lately, isBalanced: false, site: '工場'.repeat(30) }), TERMINAL);
    const lines = screen.split('\n');
    assert.isAtMost(lines.length, 23, screen);
    for (const line of lines) assert.isAtMost(line.length, 80, line);
    assert.match(lines.at(-1)!, /^… and \d+ more problems: fondaco writer list$/);
    assert.include(screen, 'the books do not balance');
  });

  it('cuts nothing off a terminal', () => {
    const answer = 'x'.repeat(190);
    const writers = [writer('n'.repeat(63), { ...failing, lastError: { message: 'm', answer, at: '' } })];
    const screen = statusScreen(status({ writers }));
    assert.include(screen, answer);
    assert.include(screen, 'n'.repeat(63));
  });

  it('says that there are no writers', () => {
    assert.include(statusScreen(status({ writers: [] })), 'no writers: events are kept, nothing is delivered');
  });
});

describe('writer list', () => {
  it('shows kinds, and of troubled writers what they said and what to do', () => {
    assert.equal(
      writerList([writer('ops', { ...failing, dead: 2 }), writer('screen', { kind: 'console' })], Infinity),
      `writer  state       urgent  normal   oldest  dead  tries   next     kind
ops     retrying         0   1,234  5 m 3 s     2      3  4.1 s     http
screen  delivering       0       0        -     0      -      -  console

ops: [UNAVAILABLE] http://ops/events answered 503
  it answered: down \\e[2J for\\nnow
  → nothing: it is tried again, everything is kept
  → fondaco dead-letter list ops (2 dead letters from before)`,
    );
    assert.include(writerList([], 80), 'no writers');
  });
});

describe('text for a screen', () => {
  it('has 80 x 24 where the terminal does not know its size, and no end off a terminal', () => {
    assert.deepEqual([screenColumns({ isTTY: true, columns: 0 }), screenRows({ isTTY: true, rows: 0 })], [80, 24]);
    assert.deepEqual([screenColumns({ isTTY: true, columns: 132 }), screenRows({ isTTY: true, rows: 50 })], [132, 50]);
    assert.deepEqual([screenColumns({ columns: 132 }), screenRows({})], [Infinity, Infinity]);
  });

  it('is cut by columns, not by characters, and not within what is seen as one', () => {
    assert.equal(cut('abcdef', 6), 'abcdef');
    assert.equal(cut('abcdefg', 6), 'abcde…');
    assert.equal(cut('漢字漢字', 7), '漢字漢…');
    assert.equal(cut('👩‍👩‍👧👩‍👩‍👧x', 4), '👩‍👩‍👧…');
    assert.equal(cut('\u001b[31mred\u001b[39m', 3), '\u001b[31mred\u001b[39m');
    assert.equal(cut('\u001b[31mred hot\u001b[39m', 4), 'red…');
  });

  it('shows sizes with a decimal at most', () => {
    assert.deepEqual([0, 640, 1024, 1536, 1024 ** 3 * 1.26].map(bytes), ['0 B', '640 B', '1 KiB', '1.5 KiB', '1.3 GiB']);
  });

  it('gives JSON to a terminal without hidden characters, and the same value', () => {
    const value = { text: '\u001b[2J\u009b\u202e\u2028é\n', n: [1] };
    const json = JSON.stringify(value, null, 2);
    const shown = terminalJson(json, true);
    assert.deepEqual(JSON.parse(shown), value);
    assert.notMatch(shown, /[\u0080-\u009f\u202e\u2028]/);
    assert.include(shown, '\n  "text"');
    assert.equal(terminalJson(json, false), json);
  });
});
