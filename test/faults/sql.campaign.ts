/**
 * 10,000 events with nasty text go into a PostgreSQL that ends the session of every fifth batch. The server is Debian's (scripts/setup.mjs); without it
 * there is nothing to count. What happens when it stops, is killed or stands still is in the campaign `delivery`.
 */
import { isFondacoError } from '../../core/errors.ts';
import { nativeJson } from '../../writers/native-json.ts';
import { sqlSettings } from '../../writers/sql/settings.ts';
import { SqlWriter } from '../../writers/sql/writer.ts';
import { deliveries } from '../support/deliveries.ts';
import { pause } from '../support/pause.ts';
import { missingPostgres, PASSWORD, PostgresServer } from '../support/postgres-server.ts';
import { seeded } from '../support/seeded.ts';
import { nastyEvents } from '../support/syslog-nasty.ts';
import type { Campaign, CampaignOrder, FaultRow } from './campaign.ts';

const EVENTS = { short: 2000, long: 10_000 };
const BATCH = 200;

const campaign: Campaign = {
  title: 'sql: nasty text, while sessions are ended',
  repeats: 'nothing does: what is sent again is there already',
  async *run(order) {
    const missing = missingPostgres();
    if (missing !== undefined) throw new Error(missing);
    const server = await PostgresServer.start();
    try {
      yield await nasty(server, order);
    } finally {
      await server.end();
    }
  },
};

export default campaign;

async function endSessions(server: PostgresServer): Promise<void> {
  await server.asAdmin(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'fondaco'`, 'events');
}

/** Byte for byte, although every fifth batch meets the end of its session. */
async function nasty(server: PostgresServer, { form, seed }: CampaignOrder): Promise<FaultRow> {
  const random = seeded(seed);
  const events = deliveries(nastyEvents(EVENTS[form]));
  const writer = await SqlWriter.open(sqlSettings.parse({ url: server.url, password: PASSWORD, table: 'nasty' }));
  let injected = 0;
  const written = async (from: number): Promise<boolean> => {
    const isEnded = random() < 0.2;
    const writing = writer.write(events.slice(from, from + BATCH), new AbortController().signal);
    if (isEnded) {
      injected++;
      await pause(random() * 30);
      await endSessions(server);
    }
    return writing.then(
      () => true,
      (error: unknown) => {
        if (isFondacoError(error, 'UNAVAILABLE')) return false;
        throw error;
      },
    );
  };
  try {
    for (let from = 0; from < events.length;) if (await written(from)) from += BATCH;
  } finally {
    await writer.close();
  }
  const rows = await server.asAdmin<{ payload: string }>('SELECT payload::text AS payload FROM nasty ORDER BY id', 'events');
  const wrongCounts = rows.filter(({ payload }, i) => payload !== (events[i] && nativeJson(events[i]))).length;
  const lost = Math.max(0, events.length - rows.length);
  return {
    fault: 'nasty text into PostgreSQL, while sessions are ended',
    injected,
    events: events.length,
    lost,
    repeated: 0,
    wrongCounts,
    discrepancy: 0,
  };
}
