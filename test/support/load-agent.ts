/**
 * A host that records much, as a process: takes a `LoadOrder` as JSON, then commands as lines of JSON on stdin, one after the other, and
 * answers each with one line. It records as fast as nothing is lost: it waits while half of the recorder's memory is taken.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Severity } from '../../core/severity.ts';
import { Recorder } from '../../recorder/index.ts';
import { pause } from './pause.ts';
import { privateKiB } from './proc.ts';

export interface LoadOrder {
  readonly component: string;
  readonly proxy: string;
  readonly directory: string;
  readonly bytesMax: number;
  /** Makes what it would record, and opens no recorder: for `pace`, what the work costs without one. */
  readonly isBare?: boolean;
}

export type LoadCommand =
  /** Answers when all of it is settled or in the spool. */
  | { readonly do: 'fill'; readonly count: number; readonly severity?: Severity }
  /** One critical event; answers when a proxy has settled it, with `before`. */
  | { readonly do: 'urgent' }
  /** Records at full speed until `stop`, and answers then. */
  | { readonly do: 'run' }
  | { readonly do: 'stop' }
  /** Answers when everything, of earlier lives too, is settled, or was dropped with notice. */
  | { readonly do: 'drain' }
  /** Records that many a second, in bursts a millisecond apart; answers with the event loop's delay meanwhile. */
  | { readonly do: 'pace'; readonly perSecond: number; readonly seconds: number }
  /** Answers with private memory after full collections. */
  | { readonly do: 'memory' }
  | { readonly do: 'status' };

/** In ms. */
export interface LoopDelay {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** What comes back. */
export interface LoadAnswer {
  /** How long the command took, or the opening. */
  readonly ms: number;
  readonly recorded: number;
  readonly settled: number;
  readonly spooled: number;
  readonly dropped: number;
  readonly privateKiB: number;
  readonly delay?: LoopDelay;
  /** Normal events that were settled between the call that recorded a critical one and its own settling. */
  readonly before?: number;
}

const MEMORY_BYTES = 8 * 1024 * 1024;
const PER_TURN = 500;
const COLLECTIONS = 3;
const NONE = { ledger: { settled: 0, spooled: 0, dropped: 0, queued: 0 }, older: { lives: 0 }, memoryBytes: 0 };
const { isBare = false, directory, bytesMax, ...place } = JSON.parse(process.argv[2]!) as LoadOrder;
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const openedAt = performance.now();
const recorder = isBare
  ? undefined
  : await Recorder.open({ ...place, node: 'n1', spool: { directory, bytesMax }, onError: () => undefined });
let n = 0;
let isRunning = false;
answer(openedAt);

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line) as LoadCommand;
  const started = performance.now();
  if (command.do === 'run') void runOn(started);
  else if (command.do === 'stop') isRunning = false;
  else answer(started, await carryOut(command));
}

async function carryOut(command: LoadCommand): Promise<Pick<LoadAnswer, 'delay' | 'before'>> {
  if (command.do === 'pace') return { delay: await pace(command) };
  if (command.do === 'urgent') return { before: await settleUrgent() };
  if (command.do === 'fill') {
    await fill(command.count, command.severity);
    await until(() => status().ledger.queued === 0);
  } else if (command.do === 'drain')
    await until(() => status().ledger.settled + status().ledger.dropped === n && status().older.lives === 0);
  else if (command.do === 'memory') for (let i = 0; i < COLLECTIONS; i++) await pause(50).then(collect);
  return {};
}

async function fill(count: number, severity: Severity = 'info'): Promise<void> {
  for (const end = n + count; n < end;) {
    for (let i = 0; i < PER_TURN && n < end; i++) record(severity);
    await new Promise((resolve) => setImmediate(resolve));
    while (status().memoryBytes > MEMORY_BYTES) await pause(1);
  }
}

async function runOn(started: number): Promise<void> {
  for (isRunning = true; isRunning;) await fill(PER_TURN);
  answer(started);
}

/** Read as its reply is taken, as a rule: one turn of the event loop takes many, and those behind it say nothing of what went before it. */
async function settleUrgent(): Promise<number> {
  const before = recorder!.status().lanes.normal.settled;
  const recording = recorder!.record(...nextEvent('critical'));
  const { recorded } = recorder!.status().lanes.urgent;
  await recording; // on a busy machine in the spool first
  while (recorder!.status().lanes.urgent.settled < recorded) await new Promise((resolve) => setImmediate(resolve));
  return recorder!.status().lanes.normal.settled - before;
}

/** About 300 bytes on disk and on the wire; all different. */
function nextEvent(severity: Severity): Parameters<Recorder['event']> {
  n++;
  const message = `link eth${n % 48} of switch leaf-${n % 7} went down, carrier lost for the ${n}th time since boot; neighbours will be told`;
  const object = { kind: 'Port', name: `eth${n % 48}`, namespace: 'fabric' };
  const details = {
    object,
    attributes: { port: n % 48, speed: 100_000, carrierChanges: n, neighbour: 'spine-2.fabric.plant-7.example', reason: 'loss of signal' },
  };
  return ['load.LinkDown', severity, message, details];
}

function record(severity: Severity): void {
  const event = nextEvent(severity);
  recorder?.event(...event);
}

async function pace({ perSecond, seconds }: { perSecond: number; seconds: number }): Promise<LoopDelay> {
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  histogram.enable();
  const started = performance.now();
  for (let done = 0, now = started; now - started < seconds * 1000; now = performance.now()) {
    for (const due = ((now - started) / 1000) * perSecond; done < due; done++) record('info');
    await pause(1);
  }
  histogram.disable();
  const ms = (ns: number): number => Math.round(ns / 1e4) / 100;
  return { p50: ms(histogram.percentile(50)), p99: ms(histogram.percentile(99)), max: ms(histogram.max) };
}

async function until(isDone: () => boolean): Promise<void> {
  while (!isDone()) await pause(2);
}

function status(): typeof NONE {
  return recorder?.status() ?? NONE;
}

function answer(started: number, more: Pick<LoadAnswer, 'delay' | 'before'> = {}): void {
  const { settled, spooled, dropped } = status().ledger;
  const ms = performance.now() - started;
  const facts: LoadAnswer = { ms, recorded: n, settled, spooled, dropped, privateKiB: privateKiB(process.pid), ...more };
  console.log(JSON.stringify(facts));
}
