import { askProxy, type Api } from './api.ts';
import { print, printJson } from './text.ts';

/** Resumes a writer. Rejects UNAVAILABLE where no proxy answers, or it has no writer of that name. */
export async function resumeWriter(name: string, api: Api, isJson: boolean): Promise<void> {
  const answer = await askProxy<object>(api, `/v1/writers/${encodeURIComponent(name)}/resume`, { method: 'POST' });
  if (isJson) printJson(answer);
  else print(`writer ${name} is resumed; fondaco status tells how it goes`);
}
