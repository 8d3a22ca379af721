/** Dead letters and replays as the HTTP surface shows them, and how a command line names them. */
import type { Lane } from '../core/lane.ts';
import type { Filter } from '../dispatcher/feed/filter.ts';
import { visible } from '../writers/console-line.ts';
import { askProxy, type Api } from './api.ts';
import { checkEventView, type EventView } from './event-view.ts';
import { EXIT, ExitError } from './exit.ts';
import type { StatusView } from './status.ts';

export interface DeadLetterView {
  /** `<writer>/<lane>/<position>`. */
  readonly id: string;
  readonly writer: string;
  readonly lane: Lane;
  readonly position: number;
  /** When it died: RFC 3339. */
  readonly at: string;
  readonly reason: string;
  /** The destination's status, such as `422`, and what it answered. */
  readonly status?: string;
  readonly answer?: string;
  readonly attempts: number;
  readonly event: EventView;
}

export interface ReplayView {
  readonly writer: string;
  /** waiting: the destination takes nothing at the moment; it goes on by itself. stopped: it does not. */
  readonly state: 'running' | 'waiting' | 'done' | 'stopped';
  readonly total: number;
  readonly delivered: number;
  readonly deadAgain: number;
  /** RFC 3339; a writer has one replay at a time, so that this names it. */
  readonly startedAt: string;
  readonly lastError?: unknown;
}

export interface DeadLetterPage {
  readonly deadLetters: readonly DeadLetterView[];
  readonly next?: string;
  /** Ids of those that cannot be read. */
  readonly damaged?: readonly string[];
}

/** Which dead letters a verb is about: `writer/lane/position`, or with `--all` or a filter names of writers. */
export interface ChosenLetters {
  readonly all?: boolean;
  /** YAML, as in the config; or a file with it. */
  readonly filter?: string;
  readonly file?: string;
  readonly json?: boolean;
}

/** Dead letters of one writer: by ids, those that a filter lets through, or all that there are (`count`, of those that it has). */
export interface Choice {
  readonly writer: string;
  readonly ids?: readonly string[];
  readonly filter?: Filter;
  readonly count: number;
}

const ID = /^([a-z0-9-]{1,63})\/(?:urgent|normal)\/\d{1,16}$/;

/** The path of a dead letter on the HTTP surface. Throws with exit code 64 for what is no id. */
export function deadLetterPath(id: string): string {
  checkId(id);
  return `/v1/dead-letters/${id}`;
}

/** What was chosen, by writer. Rejects with exit code 64 for what names nothing. */
export async function choose(api: Api, given: readonly string[], { all = false, filter, file }: ChosenLetters): Promise<Choice[]> {
  if (filter !== undefined || file !== undefined) {
    if (all) throw new ExitError(EXIT.usage, 'give --all or a filter, not both');
    const { readFilter } = await import('./filter-source.ts'); // what reads filters takes its time to load
    const wanted = await readFilter(api, { ...(filter !== undefined && { filter }), ...(file !== undefined && { file }) });
    return (await chooseAll(api, given)).map((choice) => ({ ...choice, filter: wanted }));
  }
  if (all) return chooseAll(api, given);
  if (given.length === 0) throw new ExitError(EXIT.usage, 'give ids (fondaco dead-letter list shows them), --all or --filter');
  const byWriter = new Map<string, Set<string>>();
  for (const id of given) {
    const writer = checkId(id);
    byWriter.set(writer, (byWriter.get(writer) ?? new Set()).add(id));
  }
  return [...byWriter].map(([writer, ids]) => ({ writer, ids: [...ids], count: ids.size }));
}

/** Of writers that the config no longer has, too: what is left of them is in the list. */
async function chooseAll(api: Api, names: readonly string[]): Promise<Choice[]> {
  const { writers, departed } = await askProxy<Pick<StatusView, 'writers' | 'departed'>>(api, '/v1/status', {
    needs: ['writers', 'departed'],
  });
  const known = [...writers, ...departed].map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    const expected = known.length === 0 ? 'there are none' : `there are ${known.join(', ')}`;
    throw new ExitError(
      EXIT.usage,
      visible(`with --all or a filter only names of writers: there is no ${JSON.stringify(unknown)}, ${expected}`),
    );
  }
  return [...writers, ...departed]
    .filter(({ name, dead }) => dead > 0 && (names.length === 0 || names.includes(name)))
    .map(({ name, dead }) => ({ writer: name, count: dead }));
}

function checkId(id: string): string {
  const [, writer] = ID.exec(id) ?? [];
  if (writer !== undefined) return writer;
  const advice = /^[a-z0-9-]{1,63}$/.test(id) ? `; --all ${id} for all that writer ${id} has` : '; fondaco dead-letter list shows them';
  throw new ExitError(EXIT.usage, `an id must be writer/lane/position, such as ops/normal/17, got ${visible(JSON.stringify(id))}${advice}`);
}

/** Rejects UNAVAILABLE if they are no dead letters: they come from the network. */
export function checkDeadLetters(letters: readonly DeadLetterView[]): readonly DeadLetterView[] {
  for (const letter of letters) checkEventView(letter.event);
  return letters;
}

/** The failure of a replay or a writer, for people. */
export function errorText(error: unknown): string {
  if (typeof error === 'string') return visible(error);
  const { message, answer } = (error ?? {}) as { message?: unknown; answer?: unknown };
  const answered = typeof answer === 'string' && answer !== '' ? `; it answered: ${answer.slice(0, 200)}` : '';
  return typeof message === 'string' ? visible(message + answered) : 'no reason given';
}

/** Says on stderr which of the ids no dead letter has: delivered or purged meanwhile, or mistyped. */
export function tellMissing(missing: readonly string[] = []): void {
  if (missing.length > 0) process.stderr.write(`fondaco: there is no dead letter ${visible(missing.join(', '))}\n`);
}
