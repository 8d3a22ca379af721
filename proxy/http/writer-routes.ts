import type { Feed } from '../../dispatcher/feed/feed.ts';
import { HttpError } from './http-error.ts';
import type { Routes } from './server.ts';

/** What these routes work on. */
export interface WriterParts {
  readonly feeds: readonly Feed[];
  /** Its kind, by the config. */
  readonly kindOf: (writer: string) => string;
  /** What its deliveries are worth, in words. */
  readonly promiseOf?: ((writer: string) => string | undefined) | undefined;
}

/** GET /v1/writers; POST /v1/writers/{name}/pause and /resume: `{ "writer", "state", "isChanged", "note"? }`. */
export function writerRoutes({ feeds, kindOf, promiseOf }: WriterParts): Routes {
  return (app) => {
    app.get('/v1/writers', async () => ({ writers: feeds.map((feed) => describe(feed, { kindOf, promiseOf })) }));
    app.post<{ Params: { name: string } }>('/v1/writers/:name/pause', async ({ params, body }) => {
      noBody(body);
      const feed = feedOf(feeds, params.name);
      const isChanged = await feed.pause();
      return { writer: params.name, state: feed.status().state, isChanged, ...(!isChanged && { note: 'it was paused already' }) };
    });
    app.post<{ Params: { name: string } }>('/v1/writers/:name/resume', async ({ params, body }) => {
      noBody(body);
      const feed = feedOf(feeds, params.name);
      const isChanged = await feed.resume();
      const note = 'it was not paused, refused, suspended or retrying';
      return { writer: params.name, state: feed.status().state, isChanged, ...(!isChanged && { note }) };
    });
  };
}

/** Throws 404 where the config has no writer of that name. */
export function feedOf(feeds: readonly Feed[], name: string, field?: string): Feed {
  const feed = feeds.find(({ settings }) => settings.name === name);
  if (feed) return feed;
  throw noWriter(name, field);
}

/** What names no writer is answered. */
export function noWriter(name: string, field?: string): HttpError {
  return new HttpError(404, `there is no writer called ${JSON.stringify(name)}`, field === undefined ? {} : { field });
}

/** Throws 400 for a body that says anything: who sends one expects something of it. */
export function noBody(body: unknown): void {
  if (body === undefined || body === null) return;
  const text = JSON.stringify(body);
  if (text === '{}') return;
  throw new HttpError(400, `body must be empty or {}, got ${text.length > 60 ? `${text.slice(0, 60)}…` : text}`, { field: 'body' });
}

function describe(feed: Feed, { kindOf, promiseOf }: Pick<WriterParts, 'kindOf' | 'promiseOf'>): object {
  const { name, ...rest } = feed.status();
  const promise = promiseOf?.(name);
  return { name, kind: kindOf(name), ...(promise !== undefined && { promise }), filter: feed.settings.filter, ...rest };
}
