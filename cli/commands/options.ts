/** What the verbs of several nouns have in common. */
import { Option, type Command } from 'commander';
import { apiAddress, DEFAULT_API } from '../api.ts';

/** The options of a verb that asks a running proxy. */
export interface ApiFlags {
  readonly api?: string;
  readonly json?: boolean;
}

/** Adds how to reach a proxy. */
export function withApi(verb: Command): Command {
  return verb.addOption(new Option('--api <url>', `the proxy's HTTP address, or unix:/path; then FONDACO_API, then ${DEFAULT_API}`));
}

/** Adds how to reach a proxy, and `--json`. */
export function withApiAndJson(verb: Command): Command {
  return withApi(verb).option('--json', 'as JSON');
}

/** Where to ask. */
export function apiOf({ api }: ApiFlags): string {
  return apiAddress(api, process.env);
}

/** A noun, which may be said in the plural, too. Without a verb it does what its default verb does. */
export function addNoun(to: Command, name: string, description: string): Command {
  return to.command(name).alias(`${name}s`).description(description);
}

/** Lines under `Examples:`. */
export function withExamples(verb: Command, ...examples: readonly string[]): Command {
  return verb.addHelpText('after', `\nExamples:\n${examples.map((example) => `  ${example}`).join('\n')}`);
}
