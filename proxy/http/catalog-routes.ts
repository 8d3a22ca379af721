import { CATALOG } from '../../core/catalog.ts';
import type { TypeRules } from '../../core/type-rules.ts';
import { parametersOf } from './event-query.ts';
import type { Routes } from './server.ts';

/** GET /v1/catalogs: the event types that the config's catalogs know, and what becomes of others. */
export function catalogRoutes(types: TypeRules | undefined): Routes {
  const answer = {
    unknownTypes: types?.isClosed ? 'reject' : 'accept',
    catalogs: (types?.catalogs ?? []).map((catalog) => ({
      name: catalog[CATALOG].name,
      types: catalog[CATALOG].types.map(({ type, severity, description, dedupFields }) => ({
        type,
        severity: severity ?? null,
        description,
        dedupFields: dedupFields ?? null,
      })),
    })),
  };
  return (app) => {
    app.get('/v1/catalogs', async (request) => {
      parametersOf(request.query, []);
      return answer;
    });
  };
}
