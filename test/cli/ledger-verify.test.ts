import { assert } from 'chai';
import { ledgerChecks, verifyScreen } from '../../cli/ledger-verify.ts';
import type { Ledger, LaneLedger } from '../../dispatcher/ledger/ledger.ts';
import { laneLedger, ledgerWith } from '../support/ledgers.ts';

function ledger(normal: Partial<LaneLedger>, more: Partial<Ledger> = {}): Ledger {
  const books = { accepted: { urgent: 0, normal: 20 }, made: { urgent: 0, normal: 1 }, added: 18, windows: { open: 1, held: 2 } };
  return ledgerWith('ops', laneLedger(normal), { ...books, ...more });
}

describe('ledger verify', () => {
  const right = { accepted: 20, made: 1, delivered: 17, folded: 2, dead: 1, pending: 1 };

  it('shows every sum', () => {
    assert.equal(
      verifyScreen(ledgerChecks(ledger(right))),
      `ok     events      20 accepted = 18 sent on + 2 held by open windows
ok     ops urgent  0 accepted + 0 made = 0
ok     ops normal  20 accepted + 1 made = 17 delivered + 2 folded + 1 dead + 1 pending
ok     proxy       it says that its books balance

every count is right`,
    );
  });

  it('shows of what was counted what is wrong, and what could not be counted', () => {
    const checks = [
      { check: 'counted', isGood: true, message: 'normal: damaged entries: 0' },
      { check: 'counted', isGood: false, message: 'ops/normal: dead letters: the books say 1, there are 2' },
    ];
    const screen = verifyScreen(ledgerChecks(ledger(right)), {
      checks,
      notChecked: ['the number of entries in urgent: they were trimmed'],
    });
    assert.include(screen, '\nWRONG  counted     ops/normal: dead letters: the books say 1, there are 2\n');
    assert.include(screen, '\nok     counted     1 count of the books against what is in the journal, one by one\n');
    assert.include(screen, '\n-      counted     not the number of entries in urgent: they were trimmed\n');
    assert.match(screen, /\n1 count is wrong: a bug or a damaged store; please report it$/);
    const damaged = { check: 'counted', isGood: false, message: 'normal: damaged entries: the books say 0, there are 44' };
    const told = verifyScreen(ledgerChecks(ledger(right)), { checks: [damaged], notChecked: [] });
    assert.match(told, /\nentries are damaged, and nothing else is wrong: whoever had not got them was told \(fondaco\.Loss\); over when/);
  });

  const wrong: [what: string, ledger: Ledger, says: string][] = [
    ['an entry without a fate', ledger({ ...right, delivered: 16 }), 'is not 16 delivered + 2 folded + 1 dead + 1 pending: 1 off'],
    ['recurrences that are nowhere', ledger(right, { windows: { open: 0, held: 0 } }), '20 accepted is not 18 sent on: 2 off'],
    ['a count below zero', ledger({ ...right, delivered: 19, pending: -1 }), 'pending must be a count, got -1'],
    ['a proxy that does not trust its own books', ledger(right, { isBalanced: false }), 'its books do not balance'],
  ];
  for (const [what, books, says] of wrong) {
    it(`finds ${what}, even where the proxy says that all is well`, () => {
      const checks = ledgerChecks(books);
      assert.isTrue(checks.some(({ isGood }) => !isGood));
      assert.include(verifyScreen(checks), says);
      assert.match(verifyScreen(checks), /wrong: a bug or a damaged store/);
    });
  }
});
