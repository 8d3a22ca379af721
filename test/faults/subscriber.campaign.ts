/**
 * Subscribers over HTTP that refuse, are slow, answer nothing, take a request and never say so, reject single events, and go away, while the proxy
 * is killed: over a batch, one event a request, and eight of those side by side. What is confirmed arrives or is the dead letter that it must be; each
 * object's events arrive in order; a repeat is equal.
 */
import { gunzipSync } from 'node:zlib';
import { LANES } from '../../core/lane.ts';
import type { LaneLedger } from '../../dispatcher/ledger/ledger.ts';
import type { HttpSettings } from '../../writers/http/settings.ts';
import { eventsOf } from '../support/http-scene.ts';
import { pause } from '../support/pause.ts';
import { seeded } from '../support/seeded.ts';
import { Site } from '../support/site.ts';
import { Subscriber, type Answer, type SeenRequest } from '../support/subscriber.ts';
import { until } from '../support/until.ts';
import type { Campaign, CampaignOrder, FaultRow } from './campaign.ts';

const EVENTS = { short: 400, long: 10_000 };
const ROUNDS = { short: 1, long: 10 };
const BURST = 20;
const OBJECTS = 4;
/** Every so manieth event is one that is never taken. */
const POISON = 97;
const WAIT_MS = 600_000;
const WAYS: readonly { name: string; format: HttpSettings['format']; more: string }[] = [
  { name: 'batch', format: 'json', more: `compression: gzip, secret: whsec_${Buffer.alloc(32, 1).toString('base64')}` },
  { name: 'redfish', format: 'redfish', more: 'batch: { interval: 20ms, eventsMax: 50 }' },
  { name: 'one', format: 'cloudevents', more: 'concurrency: 1' },
  { name: 'eight', format: 'cloudevents-binary', more: 'concurrency: 8' },
];

const campaign: Campaign = {
  title: 'subscriber: destinations over HTTP that fail in every way',
  repeats: 'what was taken and not answered, or answered and not settled before a kill, comes again, equal, under the same event id',
  async *run(order) {
    const site = await Site.prepare({ destinations: [] });
    const random = seeded(order.seed);
    const places = await Promise.all(WAYS.map(async (way) => Place.open(way, random)));
    try {
      yield* underFaults(order, site, places);
    } finally {
      await site.end();
      await Promise.all(places.map(async (place) => place.leave()));
    }
  },
};

export default campaign;

async function* underFaults({ form, progress }: CampaignOrder, site: Site, places: readonly Place[]): AsyncIterable<FaultRow> {
  const writers = places.map(({ way: { name, format, more }, port }) => {
    const batch = more.includes('batch:') ? '' : ', batch: { interval: 20ms }';
    const retry = 'retry: { policy: backoff, initial: 20ms, max: 100ms }';
    return `  - { name: ${name}, kind: http, url: "http://127.0.0.1:${port}/${name}", format: ${format}, timeout: 1s, ${more}${batch}, ${retry} }\n`;
  });
  await site.proxy.configure(`dedup: { interval: 0s }\nwriters:\n${writers.join('')}`);
  await site.proxy.start();
  const { recorder } = await site.source('cmd');
  const recorded = new Map<string, string>();
  const record = (): void => {
    for (let i = 0; i < BURST; i++) {
      const n = recorded.size;
      const name = `n${(n * 7) % OBJECTS}`;
      const message = n % POISON === 50 ? `poison ${n}` : `${name} ${n}`;
      const id = recorder.event('test.Event', 'info', message, { object: { kind: 'Node', name }, attributes: { n } });
      if (id === undefined) throw new Error('an event must be taken');
      recorded.set(id, message);
    }
  };
  const perRound = EVENTS[form] / ROUNDS[form] / 2;
  const recordUpTo = async (count: number): Promise<void> => {
    while (recorded.size < count) {
      record();
      await pause(10);
    }
  };
  for (let round = 0; round < ROUNDS[form]; round++) {
    await recordUpTo((2 * round + 1) * perRound);
    await flows(places);
    await site.proxy.kill();
    await site.proxy.start();
    await recordUpTo((2 * round + 2) * perRound);
    await flows(places);
    for (const place of places) await place.leave();
    await pause(100);
    for (const place of places) await place.comeBack();
    progress(round + 1, ROUNDS[form]);
  }
  await until('the proxy has it all', () => recorder.status().ledger.settled === recorded.size, WAIT_MS);
  const ledger = await site.drained(WAIT_MS);
  const isGood = (await site.proxy.verify()).isGood;
  for (const place of places) {
    const { lanes } = ledger.writers.find(({ name }) => name === place.way.name)!;
    yield {
      ...place.judge(
        recorded,
        LANES.map((lane) => lanes[lane]),
      ),
      injected: place.faults,
      discrepancy: isGood ? 0 : 1,
    };
  }
}

/** Resolves when something more has come to each place. */
async function flows(places: readonly Place[]): Promise<void> {
  const before = places.map(({ came }) => came.length);
  const isDone = (): boolean => places.every(({ came }, i) => came.length > before[i]! || came.length === 0);
  await until('something comes to each subscriber', isDone, 60_000).catch(() => undefined); // it may have it all
}

interface Came {
  readonly id: string;
  readonly message: string;
  readonly object: string;
  readonly text: string;
}

/** One subscriber, what it does wrong, and what it has. */
class Place {
  readonly way: (typeof WAYS)[number];
  readonly port: number;
  /** Every event that it took, also where it never said so. */
  readonly came: Came[] = [];
  faults = 0;
  readonly #random: () => number;
  #subscriber: Subscriber | undefined;

  static async open(way: (typeof WAYS)[number], random: () => number): Promise<Place> {
    return new Place(way, await Subscriber.open(), random);
  }

  private constructor(way: (typeof WAYS)[number], subscriber: Subscriber, random: () => number) {
    this.way = way;
    this.port = subscriber.port;
    this.#random = random;
    this.#take(subscriber);
  }

  async leave(): Promise<void> {
    await this.#subscriber?.close();
    this.#subscriber = undefined;
  }

  async comeBack(): Promise<void> {
    this.faults++;
    this.#take(await Subscriber.open(this.port));
  }

  #take(subscriber: Subscriber): void {
    subscriber.answer = (request) => this.#answer(request);
    this.#subscriber = subscriber;
  }

  #answer(request: SeenRequest): Answer {
    this.#subscriber!.requests.length = 0; // what matters is in `came`
    const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(request.body) : request.body;
    const events = eventsOf(this.way.format, { headers: request.headers, body });
    const answer = events.some(({ message }) => message.startsWith('poison')) ? { status: 422 } : this.#fate();
    if (answer === 'hang' || answer === 'cut' || answer.status === 200) {
      for (const { seq: _seq, ...event } of events) {
        const { name = '' } = (event.object ?? {}) as { name?: string };
        this.came.push({ id: event.id, message: event.message, object: name, text: JSON.stringify(event) });
      }
    }
    if (answer === 'hang' || answer === 'cut' || answer.status !== 200) this.faults++;
    return answer;
  }

  #fate(): Answer {
    const chance = this.#random();
    if (chance < 0.005) return 'hang';
    if (chance < 0.025) return 'cut';
    if (chance < 0.04) return { status: 503 };
    if (chance < 0.05) return { status: 429, headers: { 'retry-after': '0' } };
    return { status: 200, delayMs: chance < 0.07 ? 100 : Math.floor(chance * 4) };
  }

  /** What became of what was recorded, by id. */
  judge(recorded: ReadonlyMap<string, string>, lanes: readonly LaneLedger[]): Omit<FaultRow, 'injected' | 'discrepancy'> {
    const ours = this.came.filter(({ id }) => recorded.has(id));
    const texts = new Map<string, string>();
    let [repeated, wrong] = [0, 0];
    const order = new Map<string, string[]>();
    for (const { id, text, object } of ours) {
      const before = texts.get(id);
      if (before === undefined) order.set(object, [...(order.get(object) ?? []), id]);
      else if (before === text) repeated++;
      else wrong++;
      texts.set(id, text);
    }
    const ids = [...recorded.keys()];
    const places = new Map(ids.map((id, i) => [id, i]));
    for (const of of order.values()) wrong += of.filter((id, i) => i > 0 && places.get(id)! < places.get(of[i - 1]!)!).length;
    const poison = ids.filter((id) => recorded.get(id)!.startsWith('poison'));
    wrong += Math.abs(lanes.reduce((sum, { dead }) => sum + dead, 0) - poison.length);
    wrong += lanes.reduce((sum, { discrepancy }) => sum + Math.abs(discrepancy), 0);
    const lost = ids.filter((id) => !texts.has(id) && !recorded.get(id)!.startsWith('poison')).length;
    const fault = `503, 429, no answer, an answer lost, poison, kills, over ${this.way.format}${this.way.name === 'eight' ? ', eight side by side' : ''}`;
    return { fault, events: recorded.size, lost, repeated, wrongCounts: wrong };
  }
}
