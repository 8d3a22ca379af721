/** What the verbs of several nouns have in common. */
import type { Command } from 'commander';
import type { Api } from '../api.ts';
import { apiOptions, DEFAULT_API, type ConnectionFlags } from '../connection.ts';

/** The options of a verb that asks a running proxy. */
export interface ApiFlags extends ConnectionFlags {
  readonly json?: boolean;
}

/** Adds how to reach a proxy. */
export function withApi(verb: Command): Command {
  const otherwise = `then FONDACO_API, then http://${DEFAULT_API} (https:// with a CA)`;
  return withCredentials(verb.option('--api <url>', `the proxy's HTTP address, https://…, http://… or unix:/path; ${otherwise}`));
}

/** Adds what a proxy beyond this machine wants to see. */
export function withCredentials(verb: Command): Command {
  return verb
    .option('--ca <file>', 'PEM of the CA to trust, such as ca.crt of fondaco tls init; then FONDACO_CA')
    .option('--cert <file>', 'PEM of a client certificate, where the proxy wants one; then FONDACO_CERT')
    .option('--key <file>', '… of its key; then FONDACO_KEY')
    .option('--token-file <file>', 'a file with the token of the proxy; then FONDACO_TOKEN_FILE')
    .option('--token <text>', '… the token itself, which others on this machine can see as long as it runs; then FONDACO_TOKEN');
}

/** Adds how to reach a proxy, and `--json`. */
export function withApiAndJson(verb: Command): Command {
  return withApi(verb).option('--json', 'as JSON');
}

/** Where to ask. */
export function apiOf(flags: ApiFlags): Api {
  return apiOptions(flags, process.env);
}

/** A noun, which may be said in the plural, too. Without a verb it does what its default verb does. */
export function addNoun(to: Command, name: string, description: string): Command {
  return to.command(name).alias(`${name}s`).description(description);
}

/** The verb that a bare noun means, without arguments. What is none of the noun's verbs ends here, too, and gets the list of them. */
export function defaultVerb(noun: Command, name: string): Command {
  return noun
    .command(name, { isDefault: true })
    .allowExcessArguments()
    .hook('preAction', (_noun, verb) => {
      const [extra] = verb.args;
      if (extra === undefined) return;
      const verbs = noun.commands.map((command) => command.name()).join(', ');
      verb.error(`error: '${extra}' is no verb of ${noun.name()}, which has ${verbs}; and ${name} takes no arguments`);
    });
}

/** Lines under `Examples:`. */
export function withExamples(verb: Command, ...examples: readonly string[]): Command {
  return verb.addHelpText('after', `\nExamples:\n${examples.map((example) => `  ${example}`).join('\n')}`);
}
