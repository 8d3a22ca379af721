// One of several instances of a service that share the work: each event is worked on by one of them, and by another if that one is killed.
//   REDIS=redis://127.0.0.1:6379 SITE=plant-7 GROUP=mailer node redis-worker.js
import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';

const { REDIS = 'redis://127.0.0.1:6379', SITE = 'plant-7', GROUP = 'mailer', INSTANCE = randomUUID(), CLAIM_MS = '60000' } = process.env;
const STREAMS = ['urgent', 'normal'].map((lane) => `fondaco:{${SITE}}:${lane}`);
const redis = new Redis(REDIS);
let isStopping = false;
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => (isStopping = true));

/** Yours. After a kill between this and XACK an event comes again, under the same id. @param {Record<string, string>} event */
async function work({ id, type, severity, message }) {
  console.log(`worked on ${id} ${severity} ${type}: ${message}`);
}

/** @param {string} stream @param {any[]} entries */
async function workOn(stream, entries) {
  for (const [entry, list] of entries.filter(([, fields]) => fields !== null)) {
    const event = /** @type {Record<string, string>} */ ({});
    for (let i = 0; i < list.length; i += 2) event[list[i]] = list[i + 1];
    await work(event);
    await redis.xack(stream, GROUP, entry);
  }
}

/** @param {Error} error */
const unlessThere = ({ message }) => message.startsWith('BUSYGROUP') || Promise.reject(message);
for (const stream of STREAMS) await redis.xgroup('CREATE', stream, GROUP, '0', 'MKSTREAM').catch(unlessThere);
for (let claimAt = 0; !isStopping;) {
  for (const stream of Date.now() >= claimAt ? STREAMS : []) {
    // What others have begun and not ended for so long. Longer than the longest work, or two do the same.
    const [, entries] = /** @type {[string, any[]]} */ (await redis.xautoclaim(stream, GROUP, INSTANCE, CLAIM_MS, '0', 'COUNT', 10));
    await workOn(stream, entries);
    claimAt = entries.length > 0 ? 0 : Date.now() + Number(CLAIM_MS) / 2;
  }
  const found = await redis.xreadgroup('GROUP', GROUP, INSTANCE, 'COUNT', 10, 'BLOCK', 1000, 'STREAMS', ...STREAMS, '>', '>');
  for (const [stream, entries] of /** @type {[string, any[]][]} */ (found ?? [])) await workOn(stream, entries);
}
await redis.quit();
