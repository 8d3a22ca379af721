/** What arrives, and that all of it does. */
import type { DecodedEvent } from '../../core/event-codec.ts';
import { deliveries, eventOf } from '../deliveries.ts';
import type { Delivery } from '../../core/writer.ts';
import type { CaseOf } from '../writer-contract.ts';
import { largeLine, nastyLines, plainLines } from './lines.ts';

/** Events of lines, numbered from `first` on. */
export function eventsOf(lines: readonly string[], first = 1, labels?: Readonly<Record<string, string>>): DecodedEvent[] {
  return lines.map((line, i) => eventOf(line, first + i, labels));
}

/** Plain deliveries `from` to `to`, both included. */
export function plainBatch(from: number, to: number): Delivery[] {
  return deliveries(eventsOf(plainLines(from, to), from), { first: from });
}

export const HANDING_OVER: readonly CaseOf[] = [
  {
    name: 'hands a batch over whole and in order',
    run: async (scene) => {
      const labels = { region: 'eu', 'a "quoted" label': 'b\\c' };
      const all = deliveries(eventsOf(plainLines(1, 200), 1, labels));
      await scene.write(all.slice(0, 120));
      await scene.has(all.slice(0, 120));
      await scene.write(all.slice(120));
      await scene.has(all);
    },
  },
  {
    name: 'hands nasty text over as it is',
    run: async (scene, { lines = [] }) => {
      const all = deliveries(eventsOf([...nastyLines(), ...lines]));
      await scene.write(all);
      await scene.has(all);
    },
  },
  {
    name: 'hands one event of the largest size over',
    run: async (scene) => {
      const all = deliveries(eventsOf([largeLine()]));
      await scene.write(all);
      await scene.has(all);
    },
  },
  {
    name: 'hands summaries over with a revision that tells them from their first',
    run: async (scene) => {
      const [first, summary] = [...eventsOf(plainLines(1, 1)), ...eventsOf(plainLines(1, 1))] as [DecodedEvent, DecodedEvent];
      Object.assign(summary, { id: `${first.id}.1`, revision: 1, count: 12, added: 11, summarizes: first.id });
      const all = deliveries([first, summary]);
      await scene.write(all);
      await scene.has(all);
    },
  },
  {
    name: 'takes both lanes at once',
    run: async (scene) => {
      const normal = plainBatch(1, 50);
      const urgent = deliveries(eventsOf(plainLines(51, 100), 51), { lane: 'urgent', first: 51 });
      await Promise.all([scene.write(normal), scene.write(urgent)]);
      await scene.hasLanes(normal, urgent);
    },
  },
];
