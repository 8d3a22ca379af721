import type { LaneLedger, Ledger } from '../../dispatcher/ledger/ledger.ts';

/** A lane in which nothing happened, but for what is said. */
export function laneLedger(lane: Partial<LaneLedger> = {}): LaneLedger {
  const none = { accepted: 0, made: 0, delivered: 0, folded: 0, filtered: 0, dead: 0, expired: 0, dropped: 0, pending: 0, discrepancy: 0 };
  return { ...none, ...lane };
}

/** Books with one writer, whose normal lane this is. They balance if what is said does. */
export function ledgerWith(writer: string, normal: LaneLedger, more: Partial<Ledger> = {}): Ledger {
  return {
    journal: 'j',
    epoch: 1,
    accepted: { urgent: 0, normal: normal.accepted },
    made: { urgent: 0, normal: normal.made },
    added: normal.accepted,
    unreported: 0,
    rejected: 0,
    lost: 0,
    purged: 0,
    droppedByRemoved: 0,
    unannounced: 0,
    notices: 0,
    windows: { open: 0, held: 0 },
    writers: [{ name: writer, lanes: { urgent: laneLedger(), normal } }],
    isBalanced: true,
    dedupDiscrepancy: 0,
    ...more,
  };
}
