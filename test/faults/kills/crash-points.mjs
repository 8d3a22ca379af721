// Given to a real proxy or agent with --import: ends its own process with SIGKILL at the n-th passing of a point that FONDACO_CRASH names, as
// { "point": "after accept", "nth": 3 }, and says so on stderr. The product knows nothing of it: methods of the loaded modules are wrapped.
//
//   before, after      the durable step itself: a batch of LevelDB's that holds such rows has been, or is about to be, written and synced
//   a proxy's          accept, settle, settle of <writer>, window end, epoch birth, reply, write, trim, compaction; reload (writers change), reload row (of it, a commit)
//   a recorder's       spill, settled row, epoch birth, trim; hand-over (a life is given up), reply heard
import { writeSync } from 'node:fs';
import fs from 'node:fs/promises';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { pathToFileURL } from 'node:url';

const order = JSON.parse(process.env.FONDACO_CRASH ?? '{}');
/** The source through tsx, or the built program: whichever of them is run. */
const built = /^(.*\/dist\/)cli\//.exec(process.argv[1] ?? '')?.[1];
if (built === undefined) await import('tsx');
const moduleUrl = (path) =>
  built === undefined ? new URL(`../../../${path}.ts`, import.meta.url) : new URL(`${path}.js`, pathToFileURL(built));
let passed = 0;
let isReloading = false;

/** One passing of a point. */
function pass(point) {
  if (point !== order.point || ++passed < order.nth) return;
  writeSync(2, `crash: ${point}\n`);
  process.kill(process.pid, 'SIGKILL');
}

/** Wraps a method that returns a promise. `steps`: what a call is, as points without their before and after. */
function wrap(owner, name, steps) {
  const method = owner[name];
  owner[name] = function (...args) {
    const names = steps.call(this, ...args);
    for (const step of names) pass(`before ${step}`);
    const done = method.apply(this, args);
    if (names.length === 0) return done;
    return done.then((result) => {
      for (const step of names) pass(`after ${step}`);
      return result;
    });
  };
}

/** What a batch of LevelDB's is, by its keys; a blob's begins with `e`, rows have words. */
const BLOB = 'e';
const ROWS = [
  ['series:', 'accept'],
  ['feed:', 'settle'],
  ['m:epochs', 'epoch birth'],
];

function stepsOf(puts, deletes) {
  const steps = ROWS.filter(([row]) => puts.some((key) => key.startsWith(row))).map(([, step]) => step);
  for (const key of puts) if (key.startsWith('feed:')) steps.push(`settle of ${key.slice('feed:'.length)}`);
  if (isReloading && puts.some((key) => key.startsWith('feed:'))) steps.push('reload row');
  if (deletes.some((key) => key.startsWith('window:'))) steps.push('window end');
  const isSpool = puts.some((key) => key.startsWith('series/'));
  if (isSpool) steps.push(puts.some((key) => key[0] === BLOB) ? 'spill' : 'settled row');
  return steps;
}

function wrapBatches() {
  const { ClassicLevel } = createRequire(createRequire(import.meta.url).resolve('level'))('classic-level');
  const make = ClassicLevel.prototype._chainedBatch;
  ClassicLevel.prototype._chainedBatch = function () {
    const batch = make.call(this);
    const puts = [];
    const deletes = [];
    const { put, del } = batch;
    batch.put = (key, ...rest) => (puts.push(key.toString('latin1')), put.call(batch, key, ...rest));
    batch.del = (key, ...rest) => (deletes.push(key.toString('latin1')), del.call(batch, key, ...rest));
    wrap(batch, 'write', () => stepsOf(puts, deletes));
    return batch;
  };
}

async function wrapJournal() {
  const { DiskJournal } = await import(moduleUrl('journal/disk-journal'));
  wrap(DiskJournal.prototype, 'trim', () => ['trim']);
  wrap(DiskJournal.prototype, 'compact', () => ['compaction']);
  if (!/compaction$/.test(order.point ?? '')) return;
  // It is rare where little is trimmed: here it follows every trim.
  const { trim } = DiskJournal.prototype;
  DiskJournal.prototype.trim = async function (...args) {
    await trim.apply(this, args);
    await this.compact();
  };
}

async function wrapProxy() {
  const [{ Dispatcher }, { HttpWriter }] = await Promise.all([
    import(moduleUrl('dispatcher/dispatcher')),
    import(moduleUrl('writers/http')),
  ]);
  wrap(HttpWriter.prototype, 'write', () => ['write']);
  const { FeedSet } = await import(moduleUrl('dispatcher/feed-set'));
  const { change } = FeedSet.prototype;
  FeedSet.prototype.change = async function (...args) {
    isReloading = true;
    await change.apply(this, args);
    isReloading = false;
  };
  wrap(FeedSet.prototype, 'change', () => ['reload']);
  const { accept } = Dispatcher.prototype;
  Dispatcher.prototype.accept = async function (...args) {
    const reply = await accept.apply(this, args);
    pass('before reply');
    setTimeout(() => pass('after reply'), 1);
    return reply;
  };
}

/** A life that is settled is renamed before it is deleted; an older one is opened by who takes it over. */
async function wrapRecorder() {
  const { rename } = fs;
  fs.rename = async function (from, to) {
    const isHandOver = String(to).endsWith('.gone');
    if (isHandOver) pass('before hand-over');
    await rename(from, to);
    if (isHandOver) pass('after hand-over');
  };
  syncBuiltinESMExports();
  const { SeriesStore } = await import(moduleUrl('recorder/series-store'));
  const { replied } = SeriesStore.prototype;
  SeriesStore.prototype.replied = function (...args) {
    pass('before reply heard');
    replied.apply(this, args);
    pass('after reply heard');
  };
}

if (order.point !== undefined) {
  wrapBatches();
  await wrapJournal();
  if (order.isProxy) await wrapProxy();
  else await wrapRecorder();
}
