/** A filter that is given on the command line, in a file, or by the name of a writer that has it. */
import { parse } from 'yaml';
import { asError } from '../core/errors.ts';
import type { Filter } from '../dispatcher/feed/filter.ts';
import { filterOf, filterSchema } from '../proxy/config-filter.ts';
import { reportIssues } from '../proxy/config-problems.ts';
import { formatProblem } from '../proxy/config.ts';
import { ConfigText } from '../proxy/config-yaml.ts';
import { visible } from '../writers/console-line.ts';
import { askProxy, type Api } from './api.ts';
import { EXIT, ExitError } from './exit.ts';
import type { WriterView } from './writer-view.ts';

/** One of the three. */
export interface FilterSource {
  /** Of a writer. */
  readonly name?: string | undefined;
  /** YAML or JSON, as in the config below `filter`. */
  readonly filter?: string;
  /** … in a file. */
  readonly file?: string;
}

/** Reads the filter. Rejects with exit code 64 for what is no filter, is not given or given twice, or a writer that is not there; 66 for a file. */
export async function readFilter(api: Api, { name, filter, file }: FilterSource): Promise<Filter> {
  const given = [name, filter, file].filter((each) => each !== undefined);
  if (given.length !== 1)
    throw new ExitError(EXIT.usage, `give the name of a writer, --filter or --file: one of them, got ${given.length}`);
  if (name !== undefined) return writersFilter(api, name);
  const text =
    filter === undefined ? await ConfigText.read(file!, process.env) : await ConfigText.of(mapOf(filter), '--filter', process.env);
  const isUnreadable = text.problems.some(({ key }) => key === '');
  if (isUnreadable) throw new ExitError(EXIT.noInput, visible(text.problems.map(formatProblem).join('\n')));
  const parsed = filterSchema.safeParse(text.value ?? {});
  if (!parsed.success) reportIssues(text, parsed.error.issues, []);
  const problems = text.problems.map((problem) =>
    formatProblem(filter === undefined ? problem : { ...problem, file: '--filter', line: 0 }),
  );
  if (parsed.success && problems.length === 0) return filterOf(parsed.data);
  throw new ExitError(EXIT.usage, visible(problems.join('\n')));
}

function mapOf(text: string): object {
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    throw new ExitError(EXIT.usage, visible(`--filter must be YAML, ${asError(error).message}`), error);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new ExitError(EXIT.usage, visible(`--filter must be a map such as '{ minSeverity: warn }', got ${JSON.stringify(text)}`));
}

async function writersFilter(api: Api, name: string): Promise<Filter> {
  const { writers } = await askProxy<{ writers: (WriterView & { filter?: Filter })[] }>(api, '/v1/writers', { needs: ['writers'] });
  const found = writers.find((writer) => writer.name === name);
  if (found) return found.filter ?? {};
  const names = writers.map((writer) => writer.name).join(', ');
  throw new ExitError(EXIT.usage, visible(`there is no writer called ${JSON.stringify(name)}, there are ${names || 'none'}`));
}
