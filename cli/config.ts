import { checkConfig, formatProblem, type Problem } from '../proxy/config.ts';
import { EXIT } from './exit.ts';
import { plural, print, printJson } from './text.ts';

/** Checks a config as `proxy` would, and whether the files that writers name can be used; touches nothing. Exits 78 if it has problems. */
export async function checkConfigFile(file: string | undefined, isJson: boolean): Promise<void> {
  const checked = await checkConfig(file, { env: process.env, cwd: process.cwd() }, { isProbing: true });
  if ('problems' in checked) {
    reportProblems(checked.problems, isJson);
    return;
  }
  const { config } = checked;
  const writers = config.writers.map(({ name }) => name);
  if (isJson) printJson({ isValid: true, file: config.file ?? null, site: config.site, data: config.data, writers, problems: [] });
  else
    print(
      `${config.file ?? 'built-in default'}: valid (site ${config.site}, data in ${config.data}, writers: ${writers.join(', ') || 'none'})`,
    );
}

/** All that is wrong, on stderr, or as JSON on stdout; exit code 78. */
export function reportProblems(problems: readonly Problem[], isJson: boolean): void {
  if (isJson) printJson({ isValid: false, problems });
  else process.stderr.write(`${problems.map(formatProblem).join('\n')}\n${plural(problems.length, 'problem')}\n`);
  process.exitCode = EXIT.config;
}
