import { Option, type Command } from 'commander';
import type { TableFlags } from '../event-from.ts';
import type { EventListFlags } from '../event.ts';
import { eventFilters, moment, wholeNumber } from './arguments.ts';
import { addNoun, apiOf, defaultVerb, withApiAndJson, withExamples, type ApiFlags } from './options.ts';

export function addEvent(to: Command): void {
  const event = addNoun(to, 'event', 'what is in the journal, delivered events included as long as they are kept');
  const list = defaultVerb(event, 'list').description('what was received last comes first; the time shown is when it happened');
  for (const option of eventFilters) list.addOption(option);
  list
    .option('--since <time>', 'received since then: 2026-11-22T08:00:00Z, or how long ago: 90s, 15m, 2h, 7d', moment)
    .option('--until <time>', 'received before then', moment)
    .option('-n, --limit <number>', 'how many, 1 to 1000', wholeNumber(1, 1000), 50)
    .option('--before <cursor>', 'older ones: where the page before ended')
    .option('--rejected', 'events that were rejected, and why; with --json as they came')
    .addOption(
      new Option(
        '--from <place>',
        'out of a table of the sql writer: postgres://user@host/database (PGPASSWORD), or a file of SQLite',
      ).conflicts(['rejected', 'api', 'token', 'tokenFile']),
    )
    .option('--table <name>', '… of this name', 'events');
  withExamples(
    withApiAndJson(list),
    'fondaco event list',
    "fondaco event list --type 'cluster.*' --min-severity warn --since 1h",
    'fondaco event list --limit 1000 --json | jq -c .events[]',
    'fondaco event list --rejected',
    'fondaco event list --from postgres://fondaco@db.example/events --since 30d',
  ).action(async (flags: ApiFlags & EventListFlags & Partial<TableFlags>) => {
    const { from, table = 'events' } = flags;
    if (from !== undefined) {
      const { listEventsFrom } = await import('../event-from.ts');
      return listEventsFrom({ ...flags, from, table }, process.env);
    }
    if (flags.rejected === true) {
      const { listRejections } = await import('../event-rejections.ts');
      return listRejections(apiOf(flags), flags);
    }
    const { listEvents } = await import('../event.ts');
    return listEvents(apiOf(flags), flags);
  });
  const show = event
    .command('show')
    .description('everything about one event')
    .argument('<id>', 'as it is shown by list, or known to a destination');
  withExamples(
    withApiAndJson(show),
    'fondaco event show 0199e0c4-7b1e-7000-8000-000000000001-17',
    'fondaco event show 0199e0c4-7b1e-7000-8000-000000000001-17 --json | jq .attributes',
  ).action(async (id: string, flags: ApiFlags) => {
    const { showEvent } = await import('../event.ts');
    await showEvent(id, apiOf(flags), flags.json === true);
  });
}
