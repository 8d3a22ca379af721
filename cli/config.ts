import { checkConfig, formatProblem } from '../proxy/config.ts';
import { EXIT } from './exit.ts';
import { count, print, printJson } from './text.ts';

/** Checks a config as `proxy` would, and touches nothing. Exits 78 if it has problems. */
export async function checkConfigFile(file: string | undefined, isJson: boolean): Promise<void> {
  const checked = await checkConfig(file, { env: process.env, cwd: process.cwd() });
  if ('problems' in checked) {
    const { problems } = checked;
    if (isJson) printJson({ isValid: false, problems });
    else {
      for (const problem of problems) process.stderr.write(`${formatProblem(problem)}\n`);
      process.stderr.write(`${count(problems.length)} ${problems.length === 1 ? 'problem' : 'problems'}\n`);
    }
    process.exitCode = EXIT.config;
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
