import type { Command } from 'commander';
import type { RecordFlags } from '../record.ts';
import { withCredentials } from './options.ts';

/** What only an event of flags can have. */
const EVENT_FLAGS = [
  'severity',
  'message',
  'attributes',
  'time',
  'dedupKey',
  'traceparent',
  'objectKind',
  'objectName',
  'objectNamespace',
  'objectTenant',
  'objectUri',
] as const;

export function addRecord(to: Command): void {
  withCredentials(to.command('record'))
    .description('record one event from flags, or many from NDJSON (--file, or stdin)')
    .option('-t, --type <type>', 'such as cluster.LeaderElected; without it events are read from --file or stdin')
    .option('-s, --severity <severity>', 'debug, info, warn, error or critical (default: info, whatever a catalog says)')
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
    .option(
      '--spool <directory>',
      'where events are kept while no proxy answers; then FONDACO_SPOOL_DIR, $STATE_DIRECTORY/spool, $XDG_STATE_HOME/fondaco/spool',
    )
    .option('--no-spool', 'keep nothing on this machine')
    .option('--json', "print the recorder's ledger")
    .addHelpText(
      'after',
      `
A line of NDJSON has type and severity, and what else there is to say:
  {"type": "disk.Full", "severity": "error", "message": "/var is full", "time": "2026-11-22T08:00:00Z",
   "object": {"kind": "Disk", "name": "sda1"}, "attributes": {"percent": 100}, "source": {"node": "n2", "component": "agent"}}
(on one line); also traceparent and dedupKey. A bad line is named on stderr (file:line: reason) and passed over; then the exit code is 65. Without a proxy events are kept in
the spool, and sent by the next recorder of the same component.

Examples:
  fondaco record --type disk.Full --severity critical --message "/var is full" --object-kind Disk --object-name sda1
  fondaco record --type deploy.Done -m "v7 is out" --attributes '{"version": 7}'
  fondaco record --file events.ndjson
  tail -f app.ndjson | fondaco record --component app --json`,
    )
    .action(async (flags: RecordFlags, command: Command) => {
      const stray = EVENT_FLAGS.find((name) => flags[name] !== undefined);
      if (flags.type === undefined && stray !== undefined)
        command.error(`error: --${stray.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} needs --type`);
      if (flags.type !== undefined && flags.file !== undefined) command.error('error: --type and --file exclude each other');
      if (flags.type === undefined && flags.file === undefined && process.stdin.isTTY)
        command.error('error: give --type, --file or NDJSON on stdin');
      const { PROXY_ADDRESS } = await import('../../recorder/options.ts');
      if (flags.proxy !== undefined && !flags.proxy.split(',').every((address) => PROXY_ADDRESS.test(address.trim())))
        command.error(`error: --proxy must be host:port or unix:/path, got ${JSON.stringify(flags.proxy)}`);
      const { recordEvents } = await import('../record.ts');
      await recordEvents(flags);
    });
}
