import type { Dispatcher } from '../../dispatcher/dispatcher.ts';
import { HttpError } from './http-error.ts';
import type { Routes } from './server.ts';
import { noBody } from './writer-routes.ts';

/** GET /v1/sites: the sites below, by their heartbeats (SiteStatus in dispatcher/sites.ts); DELETE /v1/sites/{site} forgets one. */
export function siteRoutes(dispatcher: Dispatcher): Routes {
  return (app) => {
    app.get('/v1/sites', async () => ({ sites: dispatcher.sites.status() }));
    app.delete<{ Params: { site: string } }>('/v1/sites/:site', async ({ params: { site }, body }) => {
      noBody(body);
      const isForgotten = await dispatcher.journal.commit((draft) => dispatcher.sites.forget(draft, site));
      if (!isForgotten) throw new HttpError(404, `there is no site called ${JSON.stringify(site)}`);
      return { site, isForgotten };
    });
  };
}
