/**
 * Judges a spool that a power cut left: a recorder is opened on it, and the proxy goes on with what it knew. What the proxy has then must be
 * all that was confirmed, once and in order, and nothing that was not recorded; and nothing is left behind.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { DecodedEvent } from '../../../core/event-codec.ts';
import { openPowerSpool } from './small-spool.ts';
import { blame, newVerdict, TORN_END, type Verdict } from '../verdict.ts';
import { until } from '../../support/until.ts';

/** An event as the proxy has it. */
export interface Taken {
  readonly id: string;
  readonly message: string;
}

/** What the world knows of an agent up to a moment, from its marks. */
export class SpoolWitness {
  readonly promised = new Set<number>();
  tried = 0;
  readonly rows = new Map<string, number>();
  readonly taken: Taken[] = [];
  #first = 1;

  take(mark: string): void {
    const [word, one = '', two = ''] = mark.split(' ', 3);
    if (word === 'life') this.#first = Number(one);
    else if (word === 'tried') this.tried = Number(one);
    else if (word === 'confirmed') this.promised.add(Number(one));
    else if (word === 'all') for (let n = this.#first; n <= this.tried; n++) this.promised.add(n);
    else if (word === 'took') {
      if (Number(two) < 0) this.rows.delete(one);
      else this.rows.set(one, Number(two));
      const events = JSON.parse(mark.slice(`took ${one} ${two} `.length)) as [string, string][];
      for (const [id, message] of events) if (message !== '') this.taken.push({ id, message });
    }
  }

  copy(): SpoolWitness {
    const copy = new SpoolWitness();
    for (const n of this.promised) copy.promised.add(n);
    for (const [series, last] of this.rows) copy.rows.set(series, last);
    copy.taken.push(...this.taken);
    copy.tried = this.tried;
    copy.#first = this.#first;
    return copy;
  }
}

const SPEED = 20;
const LIMIT_MS = 180_000;

/** `folder` holds the state of the cut; the spool is in `spool` in it. */
export async function judgeSpool(folder: string, witness: SpoolWitness, journal: string): Promise<Verdict> {
  const verdict = newVerdict();
  verdict.events = witness.promised.size;
  const directory = join(folder, 'spool');
  const { recorder, proxy } = await openPowerSpool({ directory, journal, rows: [...witness.rows], speed: SPEED });
  try {
    const isDrained = (): boolean => {
      const { ledger, older } = recorder.status();
      return older.lives === 0 && ledger.settled === ledger.recorded;
    };
    await until(`all is settled: ${JSON.stringify(recorder.status())}`, isDrained, LIMIT_MS);
    const { recorded, settled, spooled, queued, dropped, rejected } = recorder.status().ledger;
    blame(verdict, 'discrepancy', Math.abs(recorded - settled - spooled - queued - dropped - rejected), 'the ledger of the recorder');
    await recorder.close();
    const { events } = proxy;
    for (const event of events) if (event.type.startsWith('fondaco.')) checkOwn(event, verdict);
    checkTaken([...witness.taken, ...events.filter(({ type }) => !type.startsWith('fondaco.'))], witness, verdict);
    for (const { range, cause } of proxy.model.lost)
      blame(verdict, 'lost', range.last - range.first + 1, `declared lost: ${range.first} to ${range.last}, ${cause}`);
    const left = (await readdir(join(directory, 'cmd')).catch(() => [])).filter((name) => !name.endsWith('.corrupt'));
    blame(verdict, 'wrongCounts', left.length, `left behind: ${left.join(', ')}`);
  } catch (error) {
    blame(
      verdict,
      'lost',
      Math.max(verdict.events, 1),
      `it does not go on: ${error instanceof Error ? (error.stack ?? '') : String(error)}`,
    );
  } finally {
    await recorder.close().catch(() => undefined);
    proxy.stop();
  }
  return verdict;
}

/** A torn end of LevelDB's log may be told: nobody can tell it from one that was synced and damaged later. */
function checkOwn({ message, attributesText }: DecodedEvent, verdict: Verdict): void {
  const { found = [] } = JSON.parse(attributesText) as { found?: string[] };
  if (found.length === 0 || !found.every((text) => text.includes(TORN_END)))
    blame(verdict, 'wrongCounts', 1, `it is said: ${message}: ${found.join()}`);
}

function checkTaken(taken: readonly Taken[], { promised, tried }: SpoolWitness, verdict: Verdict): void {
  const last = { urgent: 0, normal: 0 };
  const seen = new Set<number>();
  for (const { id, message } of taken) {
    const n = Number(message.slice(2));
    const lane = n % 10 === 0 ? 'urgent' : 'normal';
    if (seen.has(n)) blame(verdict, 'wrongCounts', 1, `event ${n} was stored twice, the second time as ${id}`);
    else if (n < last[lane]) blame(verdict, 'wrongCounts', 1, `event ${n} came after ${last[lane]}`);
    if (message !== `m ${n}` || n > tried) blame(verdict, 'wrongCounts', 1, `${id} was never recorded: ${message}`);
    seen.add(n);
    last[lane] = Math.max(last[lane], n);
  }
  const missing = [...promised].filter((n) => !seen.has(n));
  blame(verdict, 'lost', missing.length, `confirmed and missing: ${missing.slice(0, 10).join(', ')}`);
}
