import type { Journal } from '../../core/journal.ts';
import { readDeliveries } from '../../dispatcher/feed/delivery-series.ts';
import type { Routes } from './server.ts';
import { noWriter } from './writer-routes.ts';

/** GET /v1/writers/{name}/deliveries: the numbers that a writer's own record must have, also of one that the config no longer has. */
export function deliveryRoutes(journal: Journal): Routes {
  return (app) => {
    app.get<{ Params: { name: string } }>('/v1/writers/:name/deliveries', async ({ params }) => {
      const deliveries = await readDeliveries(journal, params.name);
      if (!deliveries) throw noWriter(params.name);
      return deliveries;
    });
  };
}
