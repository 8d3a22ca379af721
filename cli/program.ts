import { Command } from 'commander';
import { addAudit } from './commands/audit.ts';
import { addCatalog } from './commands/catalog.ts';
import { addConfig } from './commands/config.ts';
import { addDeadLetter } from './commands/dead-letter.ts';
import { addDoctor } from './commands/doctor.ts';
import { addEvent } from './commands/event.ts';
import { addJournal } from './commands/journal.ts';
import { addLedger } from './commands/ledger.ts';
import { addOutage } from './commands/outage.ts';
import { addProxy } from './commands/proxy.ts';
import { addRecord } from './commands/record.ts';
import { addSite } from './commands/site.ts';
import { addSpool } from './commands/spool.ts';
import { addStatus } from './commands/status.ts';
import { addTail } from './commands/tail.ts';
import { addTls } from './commands/tls.ts';
import { addWriter } from './commands/writer.ts';
import { EXIT_HELP } from './exit.ts';

/**
 * The tree of verbs. `commands/<noun>.ts` has what a noun's verbs are called, take and say of themselves; `<noun>.ts` beside this file has what
 * they do, and is loaded when one of them is called.
 */
export function buildProgram(version: string): Command {
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
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'fondaco: ')) })
    .exitOverride();
  for (const add of [
    addProxy,
    addRecord,
    addStatus,
    addTail,
    addEvent,
    addWriter,
    addDeadLetter,
    addOutage,
    addLedger,
    addAudit,
    addSite,
    addSpool,
    addJournal,
    addDoctor,
    addConfig,
    addCatalog,
    addTls,
  ])
    add(program, version);
  nameHelp(program, program.name());
  return program;
}

/** A mistake in what is typed for a verb leads to the help of that verb. */
function nameHelp(command: Command, typed: string): void {
  command.showHelpAfterError(`(${typed} --help lists what there is)`);
  for (const each of command.commands) nameHelp(each, `${typed} ${each.name()}`);
}
