/**
 * Redis is killed, stopped, frozen, made a replica, denied memory; connections to it are cut at any byte; the proxy's data are
 * replaced by an older copy: all under load. Each entry has to be in its stream once, in order: a repeat is a wrong count here. The long form also kills a
 * Redis that keeps no log, whose losses a `resendWindow` makes good. Kills of the proxy and lost replies are in the campaign `delivery`.
 * Redis is Debian's (scripts/setup.mjs).
 */
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { LANES, type Lane } from '../../core/lane.ts';
import type { Received } from '../contract/writer-contract.ts';
import { fromNative } from '../support/received.ts';
import { fieldsOf, missingRedis, RedisServer } from '../support/redis-server.ts';
import { pause } from '../support/pause.ts';
import { seeded } from '../support/seeded.ts';
import { Site } from '../support/site.ts';
import type { Source } from '../support/source.ts';
import { judgeStreams, type StreamCounts } from '../support/stream-judge.ts';
import { TcpTap } from '../support/tcp-tap.ts';
import { until } from '../support/until.ts';
import type { Campaign, CampaignOrder, FaultRow } from './campaign.ts';

const LIMIT_MS = 120_000;
const BURST = 10;
const BURST_MS = 10;
/** A slow machine settles less than is recorded, and a recorder's room is not what is tested. */
const UNSETTLED_MAX = 2000;
const RESEND_WINDOW = 20_000;

interface Scene {
  readonly site: Site;
  readonly server: RedisServer;
  readonly tap: TcpTap;
  readonly random: () => number;
}

interface Fault {
  readonly fault: string;
  readonly short: number;
  readonly long: number;
  /** Does it and undoes it. */
  readonly inject: (scene: Scene) => Promise<void>;
}

const FAULTS: readonly Fault[] = [
  {
    fault: 'SIGKILL or SIGTERM of Redis, and a new one',
    short: 2,
    long: 20,
    inject: async ({ server, random }) => {
      await server.stop(random() < 0.5 ? 'SIGKILL' : 'SIGTERM');
      await pause(random() * 200);
      await server.start();
    },
  },
  {
    fault: 'the connection cut at a byte of a request or of an answer',
    short: 10,
    long: 400,
    inject: async ({ tap, random }) => {
      const isRequest = random() < 0.5;
      await new Promise<void>((resolve) => {
        const cut = (bytes: Buffer): number => {
          tap.cutRequest = tap.cutAnswer = undefined;
          resolve();
          return Math.floor(random() * (bytes.length + 1));
        };
        if (isRequest) tap.cutRequest = cut;
        else tap.cutAnswer = cut;
      });
    },
  },
  {
    fault: 'no memory (OOM), a replica (READONLY), a Redis that stands still',
    short: 3,
    long: 45,
    inject: async ({ server, random }) => {
      const { redis } = server;
      const kind = Math.floor(random() * 3);
      if (kind === 0) await redis.config('SET', 'maxmemory', '1');
      else if (kind === 1) await redis.replicaof('127.0.0.1', 1);
      else server.freeze();
      await pause(50 + random() * 200);
      if (kind === 0) await redis.config('SET', 'maxmemory', '0');
      else if (kind === 1) await redis.replicaof('NO', 'ONE');
      else server.thaw();
    },
  },
];

const campaign: Campaign = {
  title: 'redis: streams under kills, cuts and refusals',
  repeats: 'nothing may',
  async *run(order) {
    const missing = missingRedis();
    if (missing !== undefined) throw new Error(missing);
    const rows = order.form === 'long' ? longRows(order) : [aFewOfEach(order)];
    for (const [i, row] of rows.entries()) {
      yield await row();
      order.progress(i + 1, rows.length);
    }
  },
};

export default campaign;

type Row = () => Promise<FaultRow>;

/** One site for all. */
function aFewOfEach({ seed }: CampaignOrder): Row {
  const faults = FAULTS.flatMap((each) => Array.from({ length: each.short }, () => each));
  return async () => {
    const row = await onSite({}, async (scene) => {
      await load(scene, faults, seeded(seed));
      await olderCopy(scene);
    });
    return { fault: 'a few of each, and an older copy', injected: faults.length + 1, ...row };
  };
}

function longRows({ seed }: CampaignOrder): Row[] {
  const each = FAULTS.map((fault) => async (): Promise<FaultRow> => {
    const faults = Array.from({ length: fault.long }, () => fault);
    return { fault: fault.fault, injected: fault.long, ...(await onSite({}, async (scene) => load(scene, faults, seeded(seed)))) };
  });
  const older = async (): Promise<FaultRow> => {
    const times = 3;
    const row = await onSite({}, async (scene) => {
      for (let i = 0; i < times; i++) await olderCopy(scene);
    });
    return { fault: "the proxy's data replaced by an older copy", injected: times, ...row };
  };
  return [...each, older, async () => withoutLog(seeded(seed))];
}

/** Faults, one after the other, while events flow. */
async function load(scene: SiteWork, faults: readonly Fault[], random: () => number): Promise<void> {
  const { source, server } = scene;
  let isRecording = true;
  const recording = (async () => {
    while (isRecording) {
      if (unsettled(source) < UNSETTLED_MAX) source.record(BURST);
      await pause(BURST_MS);
    }
  })();
  for (const { inject } of faults) {
    await flows(server);
    await pause(random() * 50);
    await inject({ ...scene, random });
  }
  isRecording = false;
  await recording;
}

/** What the copy does not know, its recorder has settled long ago: that is lost to the proxy, and named, but not to Redis, which has it. */
async function olderCopy({ site, source, server }: SiteWork): Promise<void> {
  const { proxy } = site;
  const copy = join(site.folder, 'older');
  const data = join(site.folder, 'data');
  await source.settle(100);
  await arrived(server, source);
  await proxy.stop();
  await rm(copy, { recursive: true, force: true });
  await cp(data, copy, { recursive: true });
  await proxy.start();
  await source.settle(100);
  await arrived(server, source);
  await proxy.kill();
  await rm(data, { recursive: true });
  await cp(copy, data, { recursive: true });
  await proxy.start();
  await source.settle(100);
}

/** Each time all that came after the last snapshot is gone; the window is larger than that. */
async function withoutLog(random: () => number): Promise<FaultRow> {
  const times = 5;
  const row = await onSite({ server: ['--appendonly', 'no'], writer: `, resendWindow: ${RESEND_WINDOW}` }, async ({ source, server }) => {
    for (let i = 0; i < times; i++) {
      await source.settle(100);
      await arrived(server, source);
      await server.redis.save();
      await source.settle(20 + Math.floor(random() * 200));
      await arrived(server, source);
      await server.stop('SIGKILL');
      await server.start();
      await arrived(server, source);
    }
  });
  return { fault: 'SIGKILL of a Redis that keeps no log, with a resendWindow', injected: times, ...row };
}

function unsettled({ recorder, ids }: Source): number {
  return LANES.reduce((sum, lane) => sum + ids[lane].length, 0) - recorder.status().ledger.settled;
}

interface SiteWork extends Omit<Scene, 'random'> {
  readonly source: Source;
}

/** A proxy with a writer to Redis through a tap; what came of the work. */
async function onSite(
  { server: args = [], writer = '' }: { server?: readonly string[]; writer?: string },
  work: (scene: SiteWork) => Promise<void>,
): Promise<StreamCounts & { events: number; discrepancy: number }> {
  const site = await Site.prepare({ destinations: [] });
  const server = await RedisServer.reserve({ folder: join(site.folder, 'redis'), args });
  const tap = await TcpTap.open(server.port);
  try {
    await server.start();
    const options = `timeout: 5s, batch: { interval: 20ms }, retry: { policy: backoff, initial: 20ms, max: 100ms }`;
    await site.proxy.configure(
      `dedup: { interval: 0s }\nwriters:\n  - { name: streams, kind: redis, address: "${tap.address}", ${options}${writer} }\n`,
    );
    await site.proxy.start();
    const source = await site.source('cmd');
    await work({ site, server, tap, source });
    await until('the proxy has settled it', () => unsettled(source) === 0, LIMIT_MS);
    const ledger = await site.drained(LIMIT_MS);
    const wrongChecks = (await site.proxy.verify()).isGood ? 0 : 1;
    const { lanes } = ledger.writers[0]!;
    const discrepancy = LANES.reduce((sum, lane) => sum + Math.abs(lanes[lane].discrepancy), wrongChecks);
    const events = LANES.reduce((sum, lane) => sum + source.ids[lane].length, 0);
    const streams = { urgent: await receivedBy(server, 'urgent'), normal: await receivedBy(server, 'normal') };
    return { events, ...judgeStreams(streams, source.ids), discrepancy };
  } finally {
    await site.end();
    await tap.close();
    await server.stop();
  }
}

async function receivedBy(server: RedisServer, lane: Lane): Promise<Received[]> {
  return (await server.entries(keyOf(lane))).map(({ fields }) => fromNative(fields.event!));
}

function keyOf(lane: string): string {
  return `fondaco:{plant-7}:${lane}`;
}

/** Resolves when something more has come. */
async function flows({ redis }: RedisServer): Promise<void> {
  const before = await redis.xlen(keyOf('normal'));
  await until('something comes', async () => (await redis.xlen(keyOf('normal'))) > before, LIMIT_MS);
}

/** Resolves when all that was recorded is there. */
async function arrived({ redis }: RedisServer, { ids }: Source): Promise<void> {
  for (const lane of LANES) {
    const last = ids[lane].at(-1);
    if (last === undefined) continue;
    // Behind it are at most a few of the proxy's own.
    const isThere = async (): Promise<boolean> =>
      (await redis.xrevrange(keyOf(lane), '+', '-', 'COUNT', 20)).some(([, fields]) => fieldsOf(fields).id === last);
    await until(`${last} is there`, isThere, LIMIT_MS);
  }
}
