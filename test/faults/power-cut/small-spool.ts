/** A recorder with a small real spool and a proxy that a test scripts: what the load of the power cuts and their judge both open. */
import { Recorder, type FondacoError } from '../../../recorder/index.ts';
import { LevelJournal } from '../../../journal/level-journal.ts';
import { fastClock } from '../../support/fast-clock.ts';
import { ScriptedProxy } from '../../support/scripted-proxy.ts';

export const PAD = 'x'.repeat(200);

export interface PowerSpoolOptions {
  readonly directory: string;
  /** What the proxy knows already. */
  readonly journal: string;
  readonly rows: readonly (readonly [series: string, last: number])[];
  readonly speed?: number;
  readonly onError?: (error: FondacoError) => void;
}

export async function openPowerSpool(options: PowerSpoolOptions): Promise<{ recorder: Recorder; proxy: ScriptedProxy }> {
  const { directory, journal, rows, speed = 5, onError = () => undefined } = options;
  const clock = fastClock(speed);
  const proxy = await ScriptedProxy.start();
  proxy.model.journal = journal;
  for (const [series, last] of rows) proxy.model.rows.set(series, { last });
  const recorder = await Recorder.open(
    { component: 'cmd', node: 'n1', proxy: proxy.address, spool: { directory }, onError },
    {
      clock,
      openJournal: (life) =>
        LevelJournal.open(life, { clock, stamp: { site: '' }, writeBufferBytes: 64 * 1024, reserveBytes: 64 * 1024, recentBytes: 0 }),
    },
  );
  return { recorder, proxy };
}
