import { createInterface } from 'node:readline/promises';
import { EXIT, ExitError } from './exit.ts';

/** Asks on a terminal; resolves with whether the answer is yes. Rejects with exit code 64 where nobody can answer. */
export async function confirm(what: string): Promise<boolean> {
  const { stdin, stderr } = process;
  if (!stdin.isTTY || !stderr.isTTY)
    throw new ExitError(EXIT.usage, `${what}\nThere is no terminal to ask on: --yes says that it is meant.`);
  const asking = createInterface({ input: stdin, output: stderr });
  try {
    const ended = new Promise<string>((resolve) => asking.once('close', () => resolve('')));
    const answer = await Promise.race([asking.question(`${what}\nType yes to go on: `), ended]);
    return answer.trim().toLowerCase() === 'yes';
  } finally {
    asking.close();
  }
}
