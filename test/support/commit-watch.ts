import { expect } from 'chai';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import type { MemoryStorage } from '../../journal/memory-journal.ts';
import { auditStore } from './store-audit.ts';

/** What is checked at every durable commit, by the rows and by the entries themselves. */
export class CommitWatch {
  commits = 0;
  readonly #ledgers: Promise<Ledger>[] = [];
  readonly problems: string[] = [];

  look(storage: MemoryStorage, ledger: Promise<Ledger>): void {
    this.commits++;
    this.#ledgers.push(ledger);
    try {
      const { added, held, accepted } = auditStore(storage); // throws for gaps, repeats and disorder
      if (added + held !== accepted) this.problems.push(`commit ${this.commits}: added ${added} + held ${held}, of ${accepted} accepted`);
    } catch (error) {
      this.problems.push((error as Error).message);
    }
  }

  async end(): Promise<void> {
    for (const ledger of await Promise.all(this.#ledgers)) {
      if (!ledger.isBalanced) this.problems.push(`not balanced: ${JSON.stringify(ledger)}`);
    }
    expect(this.problems).to.deep.equal([]);
  }
}
