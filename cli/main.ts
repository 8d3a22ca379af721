#!/usr/bin/env node
/** `fondaco <noun> <verb>`. Each verb's module is loaded when it is called. */
import { existsSync, readFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import { apiAddress, DEFAULT_API } from './api.ts';
import { EXIT, EXIT_HELP, fail } from './exit.ts';
import type { RecordFlags } from './record.ts';

const version = readVersion();
const program = new Command('fondaco')
  .description('Records operational events at the edge and delivers them to every destination, and can prove that nothing is missing.')
  .version(version)
  .configureHelp({ sortSubcommands: false, showGlobalOptions: true })
  .addHelpText(
    'after',
    `
Examples:
  fondaco proxy                                    run a proxy that shows what comes in
  fondaco record --type demo.Hello --message hi    record one event
  fondaco status                                   how the proxy is doing
${EXIT_HELP}`,
  )
  .showHelpAfterError('(fondaco --help lists what there is)')
  .exitOverride();

addProxy(program);
addRecord(program);
addStatus(program);
addLedger(program);
addWriter(program);
addConfig(program);
await main();

async function main(): Promise<void> {
  // A reader that has seen enough, such as head: no reason for a stack. A console writer notices by itself.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') fail(error);
  });
  try {
    await program.parseAsync();
  } catch (error) {
    // commander has said it all; help and version end with 0.
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    else fail(error);
  }
}

function addProxy(to: Command): void {
  to.command('proxy')
    .description('run a proxy, until SIGTERM or SIGINT')
    .option('-c, --config <file>', 'the config; then FONDACO_CONFIG, ./fondaco.yaml, /etc/fondaco/fondaco.yaml, else a default')
    .addHelpText(
      'after',
      `
Without a config it takes events on 127.0.0.1:7070 (gRPC), answers on 127.0.0.1:7071 (HTTP), keeps its journal in ./data
and shows events on stdout. Its log is JSON on stderr, from level FONDACO_LOG_LEVEL (info) on.

Examples:
  fondaco proxy
  fondaco proxy --config /etc/fondaco/fondaco.yaml`,
    )
    .action(async (options: { config?: string }) => {
      const { startProxy } = await import('./proxy.ts');
      await startProxy(options.config, version);
    });
}

function addRecord(to: Command): void {
  to.command('record')
    .description('record one event from flags, or many from NDJSON (--file, or stdin)')
    .option('-t, --type <type>', 'such as cluster.LeaderElected; without it events are read from --file or stdin')
    .option('-s, --severity <severity>', 'debug, info, warn, error or critical (default: info)')
    .option('-m, --message <text>', 'for people')
    .option('--object-kind <text>', 'what it happened to: its kind')
    .option('--object-name <text>', '… its name')
    .option('--object-namespace <text>', '… its namespace')
    .option('--object-tenant <text>', '… its tenant')
    .option('--object-uri <text>', '… its URI')
    .option('-a, --attributes <json>', 'for machines: a JSON object, kept as it is typed')
    .option('--time <rfc3339>', 'when it happened, if not now')
    .option('--dedup-key <text>', 'replaces object, message and attributes in what makes two events the same')
    .option('--traceparent <text>', 'W3C trace context')
    .option('--node <name>', 'the machine it is about (default: this one)')
    .option('--component <name>', 'the component it is about', 'cli')
    .option('-f, --file <file>', 'NDJSON, one event a line; - for stdin')
    .option('-p, --proxy <address>', 'host:port or unix:/path (default: FONDACO_PROXY, then 127.0.0.1:7070)')
    .option('--spool <directory>', 'where events are kept while no proxy answers')
    .option('--no-spool', 'keep nothing on this machine')
    .option('--json', "print the recorder's ledger")
    .addHelpText(
      'after',
      `
A bad line is named on stderr (file:line: reason) and passed over; then the exit code is 65. Without a proxy events are kept in
the spool, and sent by the next recorder of the same component.

Examples:
  fondaco record --type disk.Full --severity critical --message "/var is full" --object-kind Disk --object-name sda1
  fondaco record --type deploy.Done -m "v7 is out" --attributes '{"version": 7}'
  fondaco record --file events.ndjson
  tail -f app.ndjson | fondaco record --component app --json`,
    )
    .action(async (flags: RecordFlags, command: Command) => {
      const events = ['severity', 'message', 'attributes', 'time', 'dedupKey', 'traceparent', 'objectKind', 'objectName'] as const;
      const stray = events.find((name) => flags[name] !== undefined);
      if (flags.type === undefined && stray !== undefined)
        command.error(`error: --${stray.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} needs --type`);
      if (flags.type !== undefined && flags.file !== undefined) command.error('error: --type and --file exclude each other');
      if (flags.type === undefined && flags.file === undefined && process.stdin.isTTY)
        command.error('error: give --type, --file or NDJSON on stdin');
      const { recordEvents, UnreadableError } = await import('./record.ts');
      try {
        await recordEvents(flags);
      } catch (error) {
        if (!(error instanceof UnreadableError)) throw error;
        process.stderr.write(`fondaco: ${error.message}\n`);
        process.exitCode = EXIT.noInput;
      }
    });
}

function addStatus(to: Command): void {
  to.command('status')
    .description('how the proxy is doing; exits 1 if anything is stuck or lost')
    .addOption(apiOption())
    .option('--json', 'as JSON')
    .addHelpText('after', `\nExamples:\n  fondaco status\n  fondaco status --json | jq .writers`)
    .action(async (options: { api?: string; json?: boolean }) => {
      const { showStatus } = await import('./status.ts');
      await showStatus(apiAddress(options.api, process.env), options.json === true);
    });
}

function addLedger(to: Command): void {
  const ledger = to.command('ledger').alias('ledgers').description('the counts that must balance');
  ledger
    .command('show', { isDefault: true })
    .description('per writer and lane; exits 1 if they do not balance')
    .addOption(apiOption())
    .option('--json', 'as JSON')
    .addHelpText('after', `\nExamples:\n  fondaco ledger show\n  fondaco ledger show --json --api http://10.0.0.7:7071`)
    .action(async (options: { api?: string; json?: boolean }) => {
      const { showLedger } = await import('./ledger.ts');
      await showLedger(apiAddress(options.api, process.env), options.json === true);
    });
}

function addWriter(to: Command): void {
  const writer = to.command('writer').alias('writers').description('the destinations');
  writer
    .command('resume')
    .description('go on with a writer that is suspended or refused, and try at once')
    .argument('<name>', 'as in the config')
    .addOption(apiOption())
    .option('--json', 'as JSON')
    .addHelpText('after', `\nExamples:\n  fondaco writer resume ops`)
    .action(async (name: string, options: { api?: string; json?: boolean }) => {
      const { resumeWriter } = await import('./writer.ts');
      await resumeWriter(name, apiAddress(options.api, process.env), options.json === true);
    });
}

function addConfig(to: Command): void {
  const config = to.command('config').alias('configs').description('the config of a proxy');
  config
    .command('check', { isDefault: true })
    .description('check a config as the proxy would, touching nothing; exits 78 if it has problems')
    .option('-c, --config <file>', 'the config; found like that of fondaco proxy')
    .option('--json', 'as JSON')
    .argument('[file]', 'the same as --config')
    .addHelpText('after', `\nExamples:\n  fondaco config check\n  fondaco config check ./fondaco.yaml --json`)
    .action(async (file: string | undefined, options: { config?: string; json?: boolean }) => {
      const { checkConfigFile } = await import('./config.ts');
      await checkConfigFile(options.config ?? file, options.json === true);
    });
}

function apiOption(): Option {
  return new Option('--api <url>', `the proxy's HTTP address, or unix:/path; then FONDACO_API, then ${DEFAULT_API}`);
}

/** Of the package: one folder up in the source, two in dist/. */
function readVersion(): string {
  const file = ['../package.json', '../../package.json'].map((path) => new URL(path, import.meta.url)).find((url) => existsSync(url));
  return file === undefined ? 'unknown' : (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
