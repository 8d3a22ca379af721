import { HttpError } from './http-error.ts';
import type { Routes } from './server.ts';

export interface WriterParts {
  /** Resumes a writer; false if there is none of that name. */
  readonly resume: (writer: string) => Promise<boolean>;
}

/** POST /v1/writers/{name}/resume. */
export function writerRoutes({ resume }: WriterParts): Routes {
  return (app) => {
    app.post<{ Params: { name: string } }>('/v1/writers/:name/resume', async (request) => {
      const { name } = request.params;
      if (await resume(name)) return { writer: name, resumed: true };
      throw new HttpError(404, `there is no writer called ${JSON.stringify(name)}`);
    });
  };
}
