/**
 * A host with a recorder, to be run as a child process or in a worker thread. Takes a script as JSON in its first argument (or workerData),
 * prints one line of JSON for what happened.
 */
import { isMainThread, workerData } from 'node:worker_threads';
import { recorder } from '../../recorder/index.ts';

export interface AgentScript {
  readonly proxy: string;
  readonly directory: string;
  /** Events to record at once: `a1`, `a2`, … */
  readonly events: number;
  /** Then: leave it to Node when to end; process.exit(), perhaps after a flush and as many events again; throw; or record one every 2 ms, for ever. */
  readonly then: 'exit-any-time' | 'idle' | 'exit' | 'throw' | 'record-on' | 'flush-and-stay' | 'flush-record-exit';
  readonly closeOn?: readonly NodeJS.Signals[];
}

const script = JSON.parse(isMainThread ? process.argv[2]! : (workerData as string)) as AgentScript;
const say = (fact: object): void => void process.stdout.write(`${JSON.stringify(fact)}\n`);

await recorder.open({
  component: 'agent',
  node: 'n1',
  proxy: script.proxy,
  spool: { directory: script.directory },
  closeOn: script.closeOn ?? [],
  onError: (error) => say({ error: error.message }),
});

let n = 0;
const record = (): void => {
  recorder.event('test.Numbered', 'info', `a${++n}`);
};
if (script.then === 'exit-any-time') say({ lives: true });
else while (n < script.events) record();
if (script.then.startsWith('flush')) await recorder.flush();
if (script.then !== 'record-on') say({ recorded: n, ledger: recorder.status().ledger });
if (script.then === 'flush-record-exit') {
  while (n < script.events * 2) record();
  process.exit(0);
}
if (script.then === 'exit') process.exit(0);
if (script.then === 'throw') throw new Error('a bug of the host');
if (script.then === 'exit-any-time') {
  const until = performance.now() + script.events;
  const go = (): void => {
    for (let i = 0; i < 7; i++) record();
    if (performance.now() < until) setTimeout(go, 1);
    else {
      say({ total: n });
      process.exit(0);
    }
  };
  n = 0;
  go();
}
if (script.then === 'flush-and-stay') setInterval(() => undefined, 1000);
if (script.then === 'record-on') {
  setInterval(() => {
    record();
    say({ n, at: performance.now() });
  }, 2);
}
