import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Readable } from 'node:stream';
import type { Clock } from '../../core/clock.ts';
import { BodyError, type BodyForm, type HttpInput, type Posted } from '../inputs/http.ts';
import { Bodies, type BodyLimits } from './body.ts';
import { HttpError } from './http-error.ts';
import type { Routes } from './server.ts';

const MIB = 1024 * 1024;
const LIMITS: BodyLimits = { bytesMax: 4 * MIB, totalBytesMax: 32 * MIB, waitMs: 20_000 };
const FORMS: Readonly<Record<string, BodyForm>> = { 'application/json': 'json', 'application/x-ndjson': 'ndjson' };

/** What these routes work on. */
export interface EventParts {
  readonly input: Pick<HttpInput, 'post'>;
  readonly clock: Clock;
  readonly limits?: BodyLimits;
}

/** POST /v1/events. */
export function eventRoutes({ input, clock, limits = LIMITS }: EventParts): Routes {
  const bodies = new Bodies(limits, clock);
  return (app) => {
    // In a scope of its own: here a body is read by us, whatever its type.
    app.register(async (scope) => {
      scope.removeAllContentTypeParsers();
      scope.addContentTypeParser('*', async (_request: FastifyRequest, payload: Readable) => payload);
      // Looked at before the framework does, which would say less.
      const onRequest = async (request: FastifyRequest): Promise<void> => void formOf(request);
      scope.post('/v1/events', { onRequest }, async (request, reply) => {
        const form = formOf(request);
        const length = request.headers['content-length'];
        const posted = await bodies.with(request.raw, length === undefined ? undefined : Number(length), async (body) =>
          post(input, body, form),
        );
        return answer(posted, reply);
      });
    });
  };
}

/** Throws 415 for what is in no form that we read. */
function formOf({ headers }: FastifyRequest): BodyForm {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity')
    throw new HttpError(415, `content-encoding must be identity, got ${shown(encoding)}`, { field: 'content-encoding' });
  const given = headers['content-type'];
  const [type = '', ...parameters] = (given ?? '').toLowerCase().split(';');
  const form = Object.hasOwn(FORMS, type.trim()) ? FORMS[type.trim()] : undefined;
  const charset = parameters.map((parameter) => /^\s*charset="?([^"]*)"?\s*$/.exec(parameter)?.[1]).find((name) => name !== undefined);
  if (form === undefined || (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8')) {
    const expected = `${Object.keys(FORMS).join(' or ')}, in UTF-8`;
    throw new HttpError(415, `content-type must be ${expected}, got ${given === undefined ? 'none' : shown(given)}`, {
      field: 'content-type',
    });
  }
  return form;
}

async function post(input: EventParts['input'], body: Buffer, form: BodyForm): Promise<Posted> {
  try {
    return await input.post(body, form);
  } catch (error) {
    if (error instanceof BodyError) throw new HttpError(error.isTooMany ? 413 : 400, error.message, { field: 'body', cause: error });
    throw error;
  }
}

function answer(posted: Posted, reply: FastifyReply): FastifyReply {
  if (posted.accepted > 0) return reply.code(202).send(posted);
  const first = posted.results[0]!.error!;
  const message = posted.rejected === 1 ? first.message : `all ${posted.rejected} events were rejected, the first because ${first.message}`;
  throw new HttpError(400, message, { ...(first.field !== undefined && { field: first.field }), more: posted });
}

function shown(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
