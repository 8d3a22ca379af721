import type { Journal } from '../../core/journal.ts';
import { verifyLedger, type Verification } from '../../dispatcher/ledger/ledger-verify.ts';
import type { Routes } from './server.ts';

/** GET /v1/ledger/verify: `{ "isGood", "checks", "notChecked" }`. It reads the whole journal: who asks meanwhile gets the same answer. */
export function verifyRoutes(journal: Journal): Routes {
  const closing = new AbortController();
  let running: Promise<Verification> | undefined;
  const verify = (): Promise<Verification> => {
    running ??= verifyLedger(journal, closing.signal).finally(() => (running = undefined));
    return running;
  };
  return (app) => {
    app.addHook('preClose', async () => closing.abort());
    app.get('/v1/ledger/verify', async () => verify());
  };
}
