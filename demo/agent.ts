/**
 * An agent: records what happens on this machine. Everything it has to do with Fondaco is `Recorder.open`, `event` and `close`.
 *
 *     node --import tsx demo/agent.ts --proxy 127.0.0.1:7070 --spool ./spool --folder ./watched [--interval MS] [--load N] [--memory %] [--disk %]
 */
import { parseArgs } from 'node:util';
import { systemClock } from '../core/clock.ts';
import { Recorder, type RecorderStatus } from '../recorder/index.ts';
import type { RecordEvent } from './collectors/collector.ts';
import { diskCollector } from './collectors/disk.ts';
import { fileCollector } from './collectors/files.ts';
import { interfaceCollector } from './collectors/interfaces.ts';
import { loadCollector } from './collectors/load.ts';
import { memoryCollector } from './collectors/memory.ts';
import { processCollector } from './collectors/processes.ts';
import { runCollectors } from './collectors/run.ts';
import { eventId } from './event-record.ts';
import { answerParent, sayLast, sayReady, untilAsked } from './parent-link.ts';

/** What a parent is told when it asks about `status`. */
export interface AgentStatus {
  readonly status: RecorderStatus;
  /** The series of this life: what its events' ids begin with. */
  readonly series: readonly string[];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      proxy: { type: 'string', default: '127.0.0.1:7070' },
      spool: { type: 'string', default: 'data/spool' },
      folder: { type: 'string', default: '.' },
      interval: { type: 'string', default: '500' },
      load: { type: 'string', default: '1' },
      memory: { type: 'string', default: '90' },
      disk: { type: 'string', default: '90' },
    },
  });
  const asked = untilAsked();
  const recorder = await Recorder.open({
    component: 'agent',
    proxy: values.proxy,
    spool: { directory: values.spool },
    onError: (error) => console.error(`agent: ${error.message}`),
  });
  const series = new Set<string>();
  const record: RecordEvent = (...event) => {
    const id = recorder.event(...event);
    if (id !== undefined && series.size < 2) series.add(eventId(id)?.series ?? '');
  };
  const status = (): AgentStatus => ({ status: recorder.status(), series: [...series] });
  answerParent({ status });
  const collectors = [
    loadCollector(Number(values.load)),
    memoryCollector(Number(values.memory)),
    diskCollector(['/', values.folder], Number(values.disk)),
    interfaceCollector(),
    processCollector(),
    fileCollector(values.folder),
  ];
  record('agent.Started', 'info', `watches this machine and ${values.folder}`.slice(0, 2000), { attributes: { pid: process.pid } });
  const running = runCollectors(collectors, { record, clock: systemClock(), intervalMs: Number(values.interval) }, asked);
  await sayReady();
  await running;
  record('agent.Stopped', 'info', 'was asked to end', { attributes: { pid: process.pid } });
  await recorder.close();
  await sayLast(status());
}

await main();
