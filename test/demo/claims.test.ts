import { assert } from 'chai';
import {
  addsUp,
  allArrived,
  cameFirst,
  foldedExactly,
  inOrder,
  noDeliveryGap,
  noLosses,
  proxyBalances,
  recorderBalances,
} from '../../demo/claims.ts';
import { withoutRepeats } from '../../demo/event-record.ts';
import { laneLedger, ledgerWith } from '../support/ledgers.ts';
import { receivedEvent, receivedSeries } from '../support/received-events.ts';

const five = receivedSeries(5);
const without = <T>(list: readonly T[], at: number): T[] => list.filter((_, index) => index !== at);
const swapped = <T>([first, second, ...rest]: readonly T[]): T[] => [second!, first!, ...rest];

describe('claims of the demo', () => {
  it('hold for what is as it should be', () => {
    const ids = five.map(({ id }) => id);
    for (const claim of [allArrived('', ids, five), inOrder('', five), noDeliveryGap('', five), noLosses('', five), addsUp('', 5, five)]) {
      assert.isUndefined(claim.problem);
    }
  });

  it('notice an event that is missing', () => {
    const lost = without(five, 2);
    assert.equal(allArrived('', ['s-1', 's-2', 's-3', 's-4', 's-5'], lost).problem, '1 of 5 are missing, the first is s-3');
    assert.equal(addsUp('', 5, lost).problem, 'they add up to 4, not 5');
    assert.equal(noDeliveryGap('', lost).problem, 's-4 has number 4 of its delivery series, the one before it has 2');
  });

  it('notice the first of a delivery series missing', () => {
    assert.isDefined(noDeliveryGap('', without(five, 0)).problem);
  });

  it('notice two events in the wrong order, but not two lanes that overtake each other', () => {
    assert.equal(inOrder('', swapped(five)).problem, 's-1 came after s-2');
    const urgent = receivedEvent({ id: 'u-9', lane: 'urgent' });
    assert.isUndefined(inOrder('', [five[0]!, urgent, ...five.slice(1), receivedEvent({ id: 'u-10', lane: 'urgent' })]).problem);
  });

  it('take a repeat for what it is', () => {
    const record = [...five, ...five.slice(3), receivedEvent({ id: 's-6', sequence: 6 })];
    assert.isUndefined(noDeliveryGap('', record).problem);
    assert.lengthOf(withoutRepeats(record), 6);
    assert.isUndefined(inOrder('', withoutRepeats(record)).problem);
  });

  it('notice that another event came before the critical one', () => {
    const critical = receivedEvent({ id: 'u-1', severity: 'critical', lane: 'urgent' });
    assert.isUndefined(cameFirst('', 'u-1', 'urgent', [critical, ...five]).problem);
    assert.match(cameFirst('', 'u-1', 'urgent', [five[0]!, critical]).problem ?? '', /^the first was s-1/);
    assert.equal(cameFirst('', 'u-1', 'urgent', [{ ...five[0]!, id: 'u-1' }]).problem, 'it came in the normal lane');
    assert.equal(cameFirst('', 'u-1', 'urgent', []).problem, 'nothing came');
  });

  it('notice a storm that is miscounted, or did not fold', () => {
    const first = receivedEvent({ id: 's-1' });
    const summary = receivedEvent({ id: 's-1.1', revision: 1, count: 10, added: 9 });
    assert.isUndefined(foldedExactly('', 10, [first, summary]).problem);
    assert.equal(foldedExactly('', 11, [first, summary]).problem, 'they add up to 10, not 11');
    assert.equal(foldedExactly('', 5, five).problem, 'they came as 5 deliveries, not as a first and one summary');
    const wrong = receivedEvent({ id: 's-1.1', revision: 1, count: 9, added: 9 });
    assert.equal(foldedExactly('', 10, [first, wrong]).problem, 'the summary counts 9 in revision 1');
    assert.equal(foldedExactly('', 10, []).problem, 'they add up to 0, not 10');
  });

  it('notice a loss notice', () => {
    const notice = receivedEvent({ type: 'fondaco.Loss', message: '3 events are missing: corrupt' });
    assert.equal(noLosses('', [...five, notice]).problem, '3 events are missing: corrupt');
  });

  it('notice books of the recorder that do not balance, or hold what is not safe', () => {
    const books = { recorded: 10, settled: 7, spooled: 3, queued: 0, dropped: 0, rejected: 0 };
    assert.isUndefined(recorderBalances('', books).problem);
    assert.isDefined(recorderBalances('', { ...books, spooled: 2 }).problem);
    assert.isDefined(recorderBalances('', { ...books, spooled: 2, dropped: 1 }).problem);
    assert.isDefined(recorderBalances('', { ...books, spooled: 2, queued: 1 }).problem);
  });

  it('notice books of the proxy that do not balance, or hold anything but deliveries and folds', () => {
    const lane = laneLedger({ accepted: 5, made: 1, delivered: 4, folded: 2 });
    const ledger = ledgerWith('subscriber', lane);
    assert.isUndefined(proxyBalances('', 5, ledger).problem);
    assert.equal(proxyBalances('', 6, ledger).problem, '5 were accepted, 6 recorded');
    assert.match(proxyBalances('', 5, { ...ledger, isBalanced: false }).problem ?? '', /discrepancy/);
    assert.equal(proxyBalances('', 5, { ...ledger, lost: 1 }).problem, '0 were rejected, 1 lost');
    const dead = { ...ledger, writers: [{ name: 'subscriber', lanes: { urgent: lane, normal: { ...lane, dead: 1 } } }] };
    assert.match(proxyBalances('', 5, dead).problem ?? '', /^subscriber, normal lane: .*"dead":1/);
  });
});
