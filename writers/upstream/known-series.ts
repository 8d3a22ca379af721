/**
 * How far the proxy above has said that it has each delivery series, and which journal said so: what a restored copy of that journal is found
 * out by. A lane's last few series are kept in its note, so that a series that has ended is asked about, too.
 *
 * Note: one `<series> <settled> <journal>` a line, the latest last.
 */
import { LANES, perLane, type Lane } from '../../core/lane.ts';

/** Of each lane. */
const SERIES_MAX = 8;
const LINE = /^([0-9a-f-]{36}) (\d{1,16}) ([0-9a-f-]{36})$/;

export interface Known {
  readonly series: string;
  readonly lane: Lane;
  /** Every seq up to this is at the proxy that has `journal`. */
  readonly settled: number;
  readonly journal: string;
}

export class KnownSeries {
  readonly #lanes = perLane(() => new Map<string, Known>());

  get all(): Known[] {
    return LANES.flatMap((lane) => [...this.#lanes[lane].values()]);
  }

  find(lane: Lane, series: string): Known | undefined {
    return this.#lanes[lane].get(series);
  }

  /** Of one series the newest counts: a batch may come again that ends earlier. */
  settle(known: Known): void {
    const of = this.#lanes[known.lane];
    const before = of.get(known.series);
    const settled = before?.journal === known.journal ? Math.max(before.settled, known.settled) : known.settled;
    of.delete(known.series); // to the end
    of.set(known.series, { ...known, settled });
    if (of.size > SERIES_MAX) of.delete(of.keys().next().value!);
  }

  note(lane: Lane): string | undefined {
    const lines = [...this.#lanes[lane].values()].map(({ series, settled, journal }) => `${series} ${settled} ${journal}`);
    return lines.length === 0 ? undefined : lines.join('\n');
  }

  recall(lane: Lane, note: string): void {
    for (const line of note.split('\n')) {
      const [, series, settled, journal] = LINE.exec(line) ?? [];
      if (series !== undefined && journal !== undefined) this.settle({ series, lane, settled: Number(settled), journal });
    }
  }
}
