/** The JSON of requests that do something, as objects; those of events are read elsewhere, as text. */
import { isUtf8 } from 'node:buffer';
import type { FastifyInstance } from 'fastify';
import { describeFault, shapeOfJson } from '../../core/json-shape.ts';
import { firstRepeatedName } from '../../core/json-text.ts';
import { HttpError } from './http-error.ts';

/** Reads bodies of application/json and of no other type; none at all is undefined. */
export function addJsonBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_request: unknown, body: Buffer) => parseBody(body));
}

/** Throws HttpError 400 with the place of what is wrong. */
function parseBody(body: Buffer): unknown {
  if (body.length === 0) return undefined;
  if (!isUtf8(body)) throw new HttpError(400, 'body must be UTF-8, got other bytes', { field: 'body' });
  const text = body.toString('utf8');
  const { fault } = shapeOfJson(text);
  if (fault !== undefined) throw new HttpError(400, `body must be JSON, ${describeFault(text, fault)}`, { field: 'body' });
  const repeated = firstRepeatedName(text);
  if (repeated)
    throw new HttpError(400, `body must have each key once, got ${JSON.stringify(repeated.name.slice(0, 60))} twice`, { field: 'body' });
  return JSON.parse(text) as unknown;
}
