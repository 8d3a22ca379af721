/** The story of `npm run demo`: five steps, each ending with claims. Whatever is claimed is judged by the subscriber's own record. */
import { ledgerScreen } from '../cli/ledger.ts';
import { count } from '../cli/text.ts';
import {
  addsUp,
  allArrived,
  cameFirst,
  foldedExactly,
  inOrder,
  noDeliveryGap,
  noLosses,
  proxyBalances,
  recorderBalances,
} from './claims.ts';
import { eventLine } from './event-line.ts';
import type { Ledger } from '../dispatcher/ledger/ledger.ts';
import type { ReceivedEvent } from './event-record.ts';
import type { Stage } from './stage.ts';

export interface StoryPace {
  /** Between two events, ms. */
  readonly eventMs: number;
  readonly isColored: boolean;
}

const FLOW = 60;
const OUTAGE = 300;
const CRITICAL_AT = 200;
const STORM = 5000;
const STORM_TYPE = 'demo.SensorLost';

/** Tells it all. Rejects if something that is waited for does not come; claims that do not hold are noted on the stage. */
export async function tellStory(stage: Stage, pace: StoryPace): Promise<void> {
  await eventsFlow(stage, pace);
  const before = await stage.events();
  const outage = await proxyIsAway(stage, pace);
  await proxyIsBack(stage, pace, { ...outage, before: before.length });
  await stormFolds(stage, pace);
  await booksBalance(stage);
}

async function eventsFlow(stage: Stage, { eventMs, isColored }: StoryPace): Promise<void> {
  stage.title('1. Events flow: agent → proxy → subscriber');
  stage.say(`${FLOW} events are recorded, one by one …`);
  const ids: string[] = [];
  for (let n = 1; n <= FLOW; n++) {
    ids.push(recordOne(stage, 'demo.Reading', 'info', `reading ${n} of ${FLOW}`));
    await stage.pause(eventMs * 2);
  }
  await stage.quiet();
  const events = await stage.events();
  show(stage, events.slice(-2), isColored);
  stage.claim(allArrived(`all ${FLOW} arrived`, ids, events));
  stage.claim(inOrder('in the order in which they were recorded', events));
}

/** Resolves with what was recorded meanwhile. */
async function proxyIsAway(stage: Stage, { eventMs }: StoryPace): Promise<{ ids: string[]; critical: string }> {
  stage.title('2. The proxy is killed, events go on');
  stage.say(`kill -9 ${stage.proxyPid}: the proxy is gone`);
  await stage.killProxy();
  const ids: string[] = [];
  let critical = '';
  for (let n = 1; n <= OUTAGE; n++) {
    if (n === CRITICAL_AT) ids.push((critical = recordOne(stage, 'demo.Overheated', 'critical', 'boiler 3 is at 131 °C')));
    else ids.push(recordOne(stage, 'demo.Reading', 'info', `reading ${n} of ${OUTAGE}, while the proxy is away`));
    if (n % 100 === 0) stage.say(`${n} recorded …${n === CRITICAL_AT ? ' the last one is critical' : ''}`);
    await stage.pause(eventMs);
  }
  const spooled = await stage.until('the spool to hold what was recorded', () => {
    const { queued, spooled } = stage.ledger;
    return queued === 0 && spooled >= OUTAGE && spooled;
  });
  stage.say(`${count(spooled)} events wait in the agent's spool, on disk`);
  stage.claim(
    recorderBalances(
      `every event is accounted for: ${count(stage.ledger.recorded)} = ${count(stage.ledger.settled)} settled + ${count(spooled)} spooled`,
      stage.ledger,
    ),
  );
  return { ids, critical };
}

async function proxyIsBack(
  stage: Stage,
  { isColored }: StoryPace,
  { ids, critical, before }: { ids: readonly string[]; critical: string; before: number },
): Promise<void> {
  stage.title('3. The proxy is back');
  await stage.restartProxy();
  stage.say(`pid ${stage.proxyPid}, on the same data; the agent notices by itself and sends what waited`);
  await stage.quiet();
  const events = await stage.events();
  const since = events.slice(before);
  show(stage, since.slice(0, 3), isColored);
  stage.claim(allArrived(`all ${OUTAGE} that waited arrived`, ids, events));
  stage.claim(cameFirst(`the critical one came first, before ${CRITICAL_AT - 1} older ones`, critical, 'urgent', since));
  stage.claim(inOrder('the others in the order in which they were recorded', events));
}

async function stormFolds(stage: Stage, { isColored }: StoryPace): Promise<void> {
  stage.title('4. A storm');
  stage.say(`${count(STORM)} equal events at once; the first is delivered at once, the rest is counted while its window is open …`);
  for (let n = 0; n < STORM; n++) recordOne(stage, STORM_TYPE, 'warn', 'sensor 12 does not answer');
  await stage.quiet();
  const storm = (await stage.events()).filter(({ type }) => type === STORM_TYPE);
  show(stage, storm.slice(0, 3), isColored);
  stage.claim(foldedExactly(`it folded into one event with an exact count: 1 + ${count(STORM - 1)} = ${count(STORM)}`, STORM, storm));
}

async function booksBalance(stage: Stage): Promise<void> {
  stage.title('5. The books');
  const ledger = await stage.quiet();
  const record = await stage.record();
  const events = await stage.events();
  const { recorded, settled } = stage.ledger;
  const repeats = record.length - events.length;
  const ours = events.filter(({ type }) => type.startsWith('demo.'));
  stage.say(`the subscriber wrote down ${count(record.length)} deliveries, ${repeats} of them repeats (told by their ids)`);
  stage.claim(recorderBalances(`agent: ${count(recorded)} recorded = ${count(settled)} settled`, stage.ledger));
  stage.claim(proxyBalances(`proxy: ${sumsOf(ledger)}, nothing pending, dead, dropped or lost`, recorded, ledger));
  stage.claim(addsUp(`subscriber: its ${count(ours.length)} events count for ${count(recorded)}`, recorded, ours));
  stage.claim(noDeliveryGap('no gap in the numbers of the deliveries', record));
  stage.claim(noLosses('no loss was announced', record));
  stage.say('');
  for (const line of ledgerScreen(ledger).split('\n')) stage.say(line);
}

/** The proxy's books in words, over its writers and lanes. */
function sumsOf({ writers }: Ledger): string {
  const sum = (field: 'accepted' | 'made' | 'delivered' | 'folded'): string =>
    count(writers.reduce((total, { lanes }) => total + lanes.urgent[field] + lanes.normal[field], 0));
  return `${sum('accepted')} accepted + ${sum('made')} made = ${sum('delivered')} delivered + ${sum('folded')} folded`;
}

function recordOne(stage: Stage, type: string, severity: 'info' | 'warn' | 'critical', message: string): string {
  const id = stage.recorder.event(type, severity, message, { object: { kind: 'Plant', name: 'demo' } });
  if (id === undefined) throw new Error(`the recorder took no event: ${stage.recorder.status().lastError ?? 'no reason given'}`);
  return id;
}

function show(stage: Stage, events: readonly ReceivedEvent[], isColored: boolean): void {
  for (const event of events) stage.say(`  ${eventLine(event, isColored)}`);
}
