import type { Command } from 'commander';
import { addNoun, apiOf, defaultVerb, withApiAndJson, withExamples, type ApiFlags } from './options.ts';

export function addLedger(to: Command): void {
  const ledger = addNoun(to, 'ledger', 'the counts that must balance');
  const show = defaultVerb(ledger, 'show').description('per writer and lane; exits 1 if they do not balance');
  withExamples(withApiAndJson(show), 'fondaco ledger show', 'fondaco ledger show --json --api http://127.0.0.1:7071').action(
    async (flags: ApiFlags) => {
      const { showLedger } = await import('../ledger.ts');
      await showLedger(apiOf(flags), flags.json === true);
    },
  );
  const verify = ledger.command('verify').description('add the counts up again and show every sum; exits 1 if one is wrong');
  withExamples(withApiAndJson(verify), 'fondaco ledger verify', 'fondaco ledger verify --json | jq .isGood').action(
    async (flags: ApiFlags) => {
      const { verifyLedger } = await import('../ledger-verify.ts');
      await verifyLedger(apiOf(flags), flags.json === true);
    },
  );
}
