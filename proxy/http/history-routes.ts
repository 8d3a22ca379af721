import type { History, HistoryItem } from '../../dispatcher/history/history.ts';
import type { Positions } from '../../dispatcher/history/backward-lane.ts';
import { eventQuery, FILTERS, formatPlace, numberOf, parametersOf, parsePlace } from './event-query.ts';
import { eventView } from './event-view.ts';
import { HttpError } from './http-error.ts';
import { readsAtOnce } from './reads-at-once.ts';
import type { Routes } from './server.ts';

const PAGE_MAX = 1000;
const PAGE_DEFAULT = 100;
/** Reads of the journal at once; each takes some MiB. */
const READS_MAX = 8;
const JSON_TYPE = 'application/json; charset=utf-8';

/** GET /v1/events (newest first, in pages) and GET /v1/events/{id}. */
export function historyRoutes({ history }: { readonly history: History }): Routes {
  const reading = readsAtOnce(READS_MAX);
  return (app) => {
    app.get('/v1/events', async (request, reply) => {
      const parameters = parametersOf(request.query, ['limit', 'before', ...FILTERS]);
      const limit = numberOf(parameters, 'limit', { max: PAGE_MAX, fallback: PAGE_DEFAULT });
      const before = parameters.before === undefined ? {} : { before: parsePlace(parameters.before, 'before') };
      const query = eventQuery(parameters);
      const { items, missing, next } = await reading(() => history.page({ limit, ...before, ...query }));
      const more = `${missing.length > 0 ? `,"missing":${JSON.stringify(missing)}` : ''}${next ? `,"next":"${formatPlace(next)}"` : ''}`;
      return reply.type(JSON_TYPE).send(`{"events":[${items.map(eventView).join(',')}]${more}}`);
    });
    app.get<{ Params: { id: string } }>('/v1/events/:id', async (request, reply) => {
      parametersOf(request.query, []);
      const item = await reading(() => find(history, request.params.id));
      return reply.type(JSON_TYPE).send(eventView(item));
    });
  };
}

async function find(history: History, id: string): Promise<HistoryItem> {
  const found = await history.find(id);
  if ('item' in found) return found.item;
  const { looked, isAll } = found;
  const shown = JSON.stringify(id.length > 60 ? `${id.slice(0, 60)}…` : id);
  const where = looked.length === 0 ? 'no id of this journal looks like that' : `looked at ${looked.map(shownPositions).join(', ')}`;
  const end = isAll ? '' : '; it may be elsewhere: ask for it with GET /v1/events and since';
  throw new HttpError(404, `there is no event ${shown} in the journal, or no longer: ${where}${end}`, { field: 'id' });
}

function shownPositions({ lane, first, last }: Positions): string {
  return `${lane} ${first} to ${last}`;
}
