/** What `npm start` runs: the processes of a site, what is said about them, and their end, in order. */
import { resolve } from 'node:path';
import type { Clock } from '../core/clock.ts';
import type { Ledger } from '../dispatcher/ledger/ledger.ts';
import type { AgentStatus } from './agent.ts';
import { Child, describeEnding } from './child.ts';
import { freePorts } from './free-ports.ts';
import { KeptProcess } from './keep-running.ts';
import { finalLedger } from './ledger-table.ts';
import { ledgerOf, pendingOf, startProxy, writeProxyConfig, type ProxyPlace } from './proxy-process.ts';
import type { StartFolders, StartSettings } from './start-settings.ts';
import type { SubscriberSums } from './subscriber.ts';
import { until } from './until.ts';

export interface SiteSettings {
  readonly settings: StartSettings;
  readonly folders: StartFolders;
}

export interface SiteParts {
  readonly clock: Clock;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  readonly say: (line: string) => void;
}

const READY_MS = 30_000;
const STOP_MS = 4000;
/** How long the end may wait for what is still on its way. */
const DELIVER_MS = 3000;
const BACK_MS = 5000;
/** How long after an outage it is looked whether everything has arrived; equal events are folded for some seconds. */
const ARRIVE_MS = 60_000;

/** Runs until `stop` is aborted, then ends everything in order. False if the books do not balance. `kill`: kills the processes, at once. */
export async function runSite(
  { settings, folders }: SiteSettings,
  parts: SiteParts,
  { stop, kill }: { readonly stop: AbortSignal; readonly kill: AbortSignal },
): Promise<boolean> {
  const { random, say } = parts;
  const [port = 0, grpcPort = 0, httpPort = 0] = await freePorts(3, random);
  const subscriberUrl = `http://127.0.0.1:${port}/events`;
  const { dedupInterval } = settings;
  const place = await writeProxyConfig({ folder: folders.data, grpcPort, httpPort, subscriberUrl, dedupInterval });
  const site = new Site({ settings, folders }, { place, port }, parts);
  kill.addEventListener('abort', () => site.kill(), { once: true });
  say('Starting a subscriber, a proxy and an agent …');
  if (folders.because !== undefined) say(`(${folders.because}; so this run has a folder of its own)`);
  const problem = await site.run(stop);
  if (problem) throw problem;
  return site.report();
}

class Site {
  readonly #settings: StartSettings;
  readonly #folders: StartFolders;
  readonly #place: ProxyPlace;
  readonly #parts: SiteParts;
  readonly #subscriber: KeptProcess;
  readonly #proxy: KeptProcess;
  readonly #agent: KeptProcess;
  /** Aborted when the end begins: what goes on in the background stops then. */
  readonly #ending = new AbortController();
  #last: { agent?: AgentStatus | undefined; ledger?: Ledger | undefined; sums?: SubscriberSums | undefined } = {};

  constructor(
    { settings, folders }: SiteSettings,
    { place, port }: { readonly place: ProxyPlace; readonly port: number },
    parts: SiteParts,
  ) {
    this.#settings = settings;
    this.#folders = folders;
    this.#place = place;
    this.#parts = parts;
    const { clock } = parts;
    const kept = (
      name: string,
      start: (signal: AbortSignal) => Promise<Child>,
      onStart: (child: Child, starts: number) => void,
    ): KeptProcess => {
      const onEnd = (how: string): void => this.#note(`the ${name} has ended (${how}); starting it again in ${settings.pauseMs / 1000} s`);
      return new KeptProcess({ clock, start, pauseMs: settings.pauseMs, stopMs: STOP_MS, onStart, onEnd });
    };
    const back = (child: Child, starts: number): void => {
      if (starts > 1) this.#note(`the ${child.name} is back, pid ${child.pid}`);
    };
    this.#subscriber = kept('subscriber', (signal) => this.#startSubscriber(port, signal), back);
    this.#agent = kept('agent', (signal) => this.#startAgent(signal), back);
    this.#proxy = kept(
      'proxy',
      (signal) => this.#startProxy(signal),
      (child, starts) => void (starts > 1 && this.#proxyIsBack(child)),
    );
  }

  /** Starts all, waits for `stop`, ends all. Resolves with what went wrong, if something did. */
  async run(stop: AbortSignal): Promise<Error | undefined> {
    let problem: Error | undefined;
    const failed = new AbortController();
    const over = AbortSignal.any([stop, failed.signal]);
    const ends: (() => Promise<void>)[] = [];
    for (const process of [this.#subscriber, this.#proxy, this.#agent]) {
      if (over.aborted) break;
      const end = new AbortController();
      const running = process.run(end.signal).catch((error: unknown) => {
        problem ??= error as Error;
        failed.abort();
      });
      ends.unshift(async () => {
        end.abort();
        await running;
      });
      await this.#isUp(process, over);
    }
    await new Promise<void>((resolve) => (over.aborted ? resolve() : over.addEventListener('abort', () => resolve(), { once: true })));
    await this.#end(ends, problem === undefined);
    return problem;
  }

  /** Prints the books. False if they do not balance. */
  report(): boolean {
    const { agent, ledger, sums } = this.#last;
    const { text, isBalanced } = finalLedger({ agent: agent?.status, ledger, sums });
    this.#parts.say(text);
    return isBalanced;
  }

  kill(): void {
    for (const process of [this.#agent, this.#proxy, this.#subscriber]) process.child?.kill('SIGKILL');
  }

  async #isUp(process: KeptProcess, over: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    await until('a process', () => process.child !== undefined, { clock, limitMs: READY_MS, signal: over }).catch(() => undefined);
  }

  /** First the agent, so that everything is recorded and flushed; then the proxy, when it has delivered; the subscriber last. */
  async #end([endAgent, endProxy, endSubscriber]: readonly (() => Promise<void>)[], isOrderly: boolean): Promise<void> {
    const { clock } = this.#parts;
    this.#ending.abort();
    if (isOrderly) {
      this.#note('ending: the agent flushes, the proxy delivers and stops, the subscriber ends (Ctrl-C again: kill them)');
      await this.#bringBack();
    }
    const agent = this.#agent.child;
    await endAgent?.();
    this.#last.agent = agent?.last as AgentStatus | undefined;
    const settled = async (): Promise<boolean> => {
      this.#last.ledger = (await ledgerOf(this.#place)) ?? this.#last.ledger;
      return this.#last.ledger === undefined || pendingOf(this.#last.ledger) === 0;
    };
    if (isOrderly) await until('deliveries', settled, { clock, limitMs: DELIVER_MS }).catch(() => undefined);
    this.#last.sums = (await this.#subscriber.child?.ask('sums', clock)) as SubscriberSums | undefined;
    await endProxy?.();
    await endSubscriber?.();
  }

  /** Somebody who has killed the proxy and asks for the end at once wants to see the books all the same. */
  async #bringBack(): Promise<void> {
    const { clock } = this.#parts;
    this.#proxy.hurry();
    this.#subscriber.hurry();
    const isBack = async (): Promise<boolean> => {
      if (!this.#proxy.child?.isAlive || !this.#subscriber.child?.isAlive) return false;
      const agent = (await this.#agent.child?.ask('status', clock)) as AgentStatus | undefined;
      return agent === undefined || agent.status.state === 'connected';
    };
    await until('the proxy', isBack, { clock, limitMs: BACK_MS }).catch(() => undefined);
  }

  #note(text: string): void {
    this.#parts.say(`── ${text}`);
  }

  async #startSubscriber(port: number, signal: AbortSignal): Promise<Child> {
    const args = ['--record', this.#folders.record, '--port', String(port)];
    return this.#ready(Child.start({ name: 'subscriber', program: 'demo/subscriber.ts', args, stdout: 'inherit' }), signal);
  }

  async #startProxy(signal: AbortSignal): Promise<Child> {
    const waiting = ((await this.#agent.child?.ask('status', this.#parts.clock)) as AgentStatus | undefined)?.status.ledger;
    const count = (waiting?.spooled ?? 0) + (waiting?.queued ?? 0);
    if (waiting) this.#note(`meanwhile the agent went on: ${count} ${count === 1 ? 'event waits' : 'events wait'} in its spool, on disk`);
    return startProxy(this.#place, this.#parts.clock, signal);
  }

  async #startAgent(signal: AbortSignal): Promise<Child> {
    const { folder, data } = this.#folders;
    const { intervalMs, load, memory, disk } = this.#settings;
    const args = ['--proxy', this.#place.grpc, '--spool', resolve(data, 'spool'), '--folder', folder, '--interval', String(intervalMs)];
    const agent = Child.start({
      name: 'agent',
      program: 'demo/agent.ts',
      args: [...args, '--load', String(load), '--memory', String(memory), '--disk', String(disk)],
    });
    if (this.#agent.ending === undefined) this.#introduce(agent); // before its first events are shown
    return this.#ready(agent, signal);
  }

  async #ready(child: Child, signal: AbortSignal): Promise<Child> {
    const { clock } = this.#parts;
    const done = new AbortController();
    const late = clock.sleep(READY_MS, AbortSignal.any([done.signal, signal])).then(() => 'late' as const);
    const first = await Promise.race([child.ready.then(() => 'ready' as const), child.ended, late]);
    done.abort();
    if (first === 'ready') return child;
    child.kill('SIGKILL');
    const why = first === 'late' ? `it was not ready within ${READY_MS / 1000} s` : describeEnding(first);
    throw new Error(`the ${child.name} could not be started: ${why}`);
  }

  #introduce(agent: Child): void {
    const { folder, record, data } = this.#folders;
    const proxy = this.#proxy.child?.pid ?? 0;
    const quoted = /^[\w./-]+$/.test(folder) ? folder : `'${folder.replaceAll("'", `'\\''`)}'`;
    this.#parts.say(
      [
        '',
        `  agent       pid ${agent.pid}: records load, memory and disk thresholds, network interfaces, processes, and files in ${folder}`,
        `  proxy       pid ${proxy}: keeps every event in ${resolve(data, 'proxy')} and delivers it; ${this.#place.api}/v1/status`,
        `  subscriber  pid ${this.#subscriber.child?.pid ?? 0}: writes down what arrives in ${record}, and shows it here`,
        '',
        'Try, in another terminal:',
        `  touch ${quoted}/hello`,
        `  kill -9 ${proxy}     (the proxy: events go on being recorded, it is started again after ${this.#settings.pauseMs / 1000} s, nothing is missing)`,
        'Ctrl-C ends it all and prints the ledger.',
        '',
      ].join('\n'),
    );
  }

  /** Says so, and when everything recorded has arrived, says that. */
  async #proxyIsBack(proxy: Child): Promise<void> {
    const { clock } = this.#parts;
    this.#note(`the proxy is back, pid ${proxy.pid}: what waited is delivered now`);
    const look = async (): Promise<string | undefined> => this.#everythingArrived();
    const patience = { clock, limitMs: ARRIVE_MS, everyMs: 250, signal: this.#ending.signal };
    const result = await until('the arrival of everything', look, patience).catch(() => undefined);
    if (result !== undefined && proxy.isAlive) this.#note(result);
  }

  /**
   * Every event of the agent is at the subscriber, alone or counted in a summary, or held by an open window for the next summary: asked for
   * while events go on being recorded, so it is looked at until nothing is between the two.
   */
  async #everythingArrived(): Promise<string | undefined> {
    const { clock } = this.#parts;
    const sums = (await this.#subscriber.child?.ask('sums', clock)) as SubscriberSums | undefined;
    const ledger = await ledgerOf(this.#place);
    const agent = (await this.#agent.child?.ask('status', clock)) as AgentStatus | undefined;
    if (!agent || !sums || !ledger) return undefined;
    const { recorded, rejected, dropped } = agent.status.ledger;
    const arrived = agent.series.reduce((sum, series) => sum + (sums.added[series] ?? 0), 0);
    if (arrived + ledger.windows.held !== recorded - rejected - dropped) return undefined;
    const folded = ledger.windows.held === 0 ? '' : `, ${ledger.windows.held} of them counted for the next summary`;
    const repeats = sums.repeats === 0 ? '' : `; ${sums.repeats} came twice and were recognised by their ids`;
    return `nothing is missing: ${recorded} events recorded, ${recorded - rejected - dropped} accounted for at the subscriber${folded}${repeats}`;
  }
}
