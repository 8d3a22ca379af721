import { assert } from 'chai';
import { outageList } from '../../cli/outage.ts';
import type { KeptOutage, OpenOutageView } from '../../dispatcher/feed/outage-rows.ts';

describe('outage list', () => {
  const open: OpenOutageView = {
    writer: 'ops',
    isOpen: true,
    from: '2026-11-22T08:00:00.123Z',
    durationMs: 125_000,
    attempts: 7,
    reason: '[UNAVAILABLE] POST https://ops.example/\u001b[2J',
    lost: { expired: 0, dropped: 2, corrupt: 1 },
    dead: 4,
  };
  const { isOpen: _, ...common } = open;
  const over: KeptOutage = {
    ...common,
    to: '2026-11-22T08:02:05Z',
    deliveries: 12_345,
    folded: 6,
    bySeverity: { info: 12_345 },
    byType: { top: [], others: 12_345 },
    bySource: { top: [], others: 12_345 },
    toCome: { urgent: 1, normal: 999 },
    deliveriesPerSecond: 100,
    toComeMs: 61_000,
    uncounted: 0,
  };

  it('shows those under way and those that are over, a line each, harmless for a terminal', () => {
    const never = { ...over, toComeMs: null };
    const done = { ...over, toCome: { urgent: 0, normal: 0 } };
    assert.equal(
      outageList([open, over, never, done], Infinity),
      `writer  from (UTC)           lasted   waited  folded  lost  dead  to come           reason
ops     2026-11-22 08:00:00  2 m 5 s  -       -       3     4     away              [UNAVAILABLE] POST https://ops.example/\\e[2J
ops     2026-11-22 08:00:00  2 m 5 s  12,345  6       3     4     1,000 (1 m 1 s)   [UNAVAILABLE] POST https://ops.example/\\e[2J
ops     2026-11-22 08:00:00  2 m 5 s  12,345  6       3     4     1,000 (for ever)  [UNAVAILABLE] POST https://ops.example/\\e[2J
ops     2026-11-22 08:00:00  2 m 5 s  12,345  6       3     4     0                 [UNAVAILABLE] POST https://ops.example/\\e[2J`,
    );
    assert.isBelow(Math.max(...outageList([open, over], 60).split('\n').map(({ length }) => length)), 61); // prettier-ignore
    assert.equal(outageList([], 80), 'no outages of more than a minute');
  });
});
