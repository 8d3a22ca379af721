// @ts-check
// A destination of one's own for the proxy: a file for each type of event. Its config is beside it:
//   npx fondaco proxy --config examples/module-writer.yaml
import { appendFile, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { defineWriter, FondacoError } from 'fondaco/writer';
import { z } from 'zod'; // or any other library that speaks Standard Schema

export default defineWriter({
  // Checked by `fondaco config check`, too, with line and column of what is wrong.
  settings: z.strictObject({ directory: z.string().min(1), pretty: z.boolean().default(false) }),

  // Before the first write. What it throws is shown as this writer's state and tried again.
  async open(settings, { name, logger, directory }) {
    const folder = resolve(directory, settings.directory); // relative to the config
    await mkdir(folder, { recursive: true });
    logger.info({ folder }, 'writes a file for each type');
    return {
      // A batch of one lane, in order; the feed owns retries, order and time. It may come again: `id` and `delivery.seq` tell.
      async write(batch, signal) {
        for (const { event, delivery } of batch) {
          if (signal.aborted) throw signal.reason; // what was written comes again
          if (event.type.length > 100) throw new FondacoError('REJECTED', `${name} takes types of 100 characters`); // a dead letter
          const line = JSON.stringify({ id: event.id, seq: delivery.seq, message: event.message }, null, settings.pretty ? 2 : 0);
          await appendFile(join(folder, `${event.type}.ndjson`), `${line}\n`).catch((/** @type {NodeJS.ErrnoException} */ error) => {
            if (error.code === 'EACCES') throw new FondacoError('REFUSED', error.message, { cause: error }); // pauses, a person is needed
            throw error; // anything else: kept, and tried again
          });
        }
      },
    };
  },
});
