import type { Clock } from '../../core/clock.ts';
import type { Journal } from '../../core/journal.ts';
import { readOutages } from '../../dispatcher/feed/outage-rows.ts';
import { numberOf, parametersOf } from './event-query.ts';
import { readsAtOnce } from './reads-at-once.ts';
import type { Routes } from './server.ts';

const LIMIT = { default: 100, max: 1000 } as const;
/** Reads at once: each goes over the rows of all writers. */
const READS_MAX = 2;

/**
 * GET /v1/outages?writer=&limit=: outages of writers, those under way first (`isOpen`), then those that are over, the latest first, as
 * the events `fondaco.Outage` told them; `more`: how many are left out. The last 100 of each writer are kept, those of departed ones too.
 */
export function outageRoutes({ journal, clock }: { readonly journal: Journal; readonly clock: Clock }): Routes {
  const reading = readsAtOnce(READS_MAX);
  return (app) => {
    app.get('/v1/outages', async ({ query }) => {
      const parameters = parametersOf(query, ['writer', 'limit']);
      const limit = numberOf(parameters, 'limit', { max: LIMIT.max, fallback: LIMIT.default });
      return reading(async () => readOutages(journal, { writer: parameters.writer, limit, now: clock.now() }));
    });
  };
}
