/** The short form of a campaign as a test. */
import { expect } from 'chai';
import { testSeed } from '../support/seeded.ts';
import type { Campaign } from './campaign.ts';

const LIMIT_MS = 300_000;

export function shortForm(campaign: Campaign): void {
  const seed = testSeed;
  describe(`${campaign.title}, FONDACO_SEED=${seed}`, function () {
    this.timeout(LIMIT_MS);
    it('loses nothing, counts nothing wrong', async () => {
      let rows = 0;
      for await (const row of campaign.run({ form: 'short', seed, progress: () => undefined })) {
        rows += 1;
        expect(row.injected, `times injected: ${row.fault}`).to.be.greaterThan(0);
        expect(row.events, `events under: ${row.fault}`).to.be.greaterThan(0);
        expect({ ...row, repeated: 0 }).to.deep.equal({ ...row, repeated: 0, lost: 0, wrongCounts: 0, discrepancy: 0 });
        expect(row.missed ?? [], `limits missed under: ${row.fault}`).to.deep.equal([]);
      }
      expect(rows, 'rows').to.be.greaterThan(0);
    });
  });
}
