import { HttpError } from './http-error.ts';
import type { Routes } from './server.ts';

/** What these routes tell of. */
export interface StatusParts {
  /** Whether ingest works. */
  readonly isReady: () => boolean;
  readonly status: () => Promise<object>;
  readonly ledger: () => Promise<object>;
}

/**
 * GET /healthz says that the process answers. GET /readyz speaks of ingest only: a dead destination never makes a proxy unready. GET
 * /v1/status and /v1/ledger tell the rest.
 */
export function statusRoutes({ isReady, status, ledger }: StatusParts): Routes {
  return (app) => {
    app.get('/healthz', async () => ({ status: 'ok' }));
    app.get('/readyz', async () => {
      if (isReady()) return { status: 'ready' };
      throw new HttpError(503, 'the journal takes nothing at the moment', { retryAfterMs: 1000 });
    });
    app.get('/v1/status', async () => status());
    app.get('/v1/ledger', async () => ledger());
  };
}
