/**
 * The thread that has the file open: `node:sqlite` waits for the disk and for other processes where it is called, and a proxy must not. It does
 * one order after the other and answers each.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { SqliteTable } from './sqlite-table.ts';
import type { SqliteAnswer, SqliteOrder, SqlitePlace } from './sqlite-orders.ts';

// Node prints that SQLite is experimental: true, and no news to whoever reads the proxy's log.
process.removeAllListeners('warning');

const table = new SqliteTable(workerData as SqlitePlace);

parentPort!.on('message', ({ number, order }: { readonly number: number; readonly order: SqliteOrder }) => {
  parentPort!.postMessage({ number, ...answer(order) });
});

function answer(order: SqliteOrder): SqliteAnswer {
  try {
    return { result: table.run(order) };
  } catch (error) {
    const { message } = error as Error;
    const errcode = (error as { errcode?: unknown }).errcode;
    return { failure: { message, ...(typeof errcode === 'number' && { errcode }) } };
  }
}
