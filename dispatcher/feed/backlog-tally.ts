/** What waits for a writer, by severity, type and source, in bounded room: the counts are exact, the names are those of the most frequent. */
import type { DecodedEvent } from '../../core/event-codec.ts';
import type { Severity } from '../../core/severity.ts';

/** Names that are told; the rest is summed. */
const NAMED_MAX = 20;
/** Names that are counted one by one: those that came first. What comes under another one is in the rest. */
const COUNTED_MAX = 1000;
/** Of all names told, as JSON. */
const NAMES_BYTES_MAX = 8 * 1024;

export interface BacklogTally {
  /** What the writer's filter lets through. */
  readonly deliveries: number;
  /** Recurrences that are counted by a summary instead of delivered, whether the filter lets them through or not. */
  readonly folded: number;
  readonly bySeverity: Readonly<Partial<Record<Severity, number>>>;
  /** The most frequent first; `others` is the sum of all that are not named. */
  readonly byType: Named<{ readonly type: string }>;
  readonly bySource: Named<{ readonly node: string; readonly component: string }>;
}

interface Named<T> {
  readonly top: readonly (T & { readonly deliveries: number })[];
  readonly others: number;
}

/** As it is stored. */
export interface StoredTally {
  deliveries: number;
  folded: number;
  bySeverity: Partial<Record<Severity, number>>;
  types: [type: string, deliveries: number][];
  sources: [node: string, component: string, deliveries: number][];
}

export class Tally {
  #deliveries = 0;
  #folded = 0;
  readonly #bySeverity: Partial<Record<Severity, number>> = {};
  readonly #types = new Map<string, number>();
  /** By the JSON of node and component. */
  readonly #sources = new Map<string, number>();

  constructor(stored?: StoredTally) {
    if (!stored) return;
    this.#deliveries = stored.deliveries;
    this.#folded = stored.folded;
    Object.assign(this.#bySeverity, stored.bySeverity);
    for (const [type, deliveries] of stored.types) this.#types.set(type, deliveries);
    for (const [node, component, deliveries] of stored.sources) this.#sources.set(JSON.stringify([node, component]), deliveries);
  }

  add({ severity, type, source }: Readonly<DecodedEvent>): void {
    this.#deliveries++;
    this.#bySeverity[severity] = (this.#bySeverity[severity] ?? 0) + 1;
    count(this.#types, type);
    count(this.#sources, JSON.stringify([source.node, source.component]));
  }

  addFolded(): void {
    this.#folded++;
  }

  stored(): StoredTally {
    return {
      deliveries: this.#deliveries,
      folded: this.#folded,
      bySeverity: this.#bySeverity,
      types: [...this.#types],
      sources: [...this.#sources].map(([key, deliveries]) => [...(JSON.parse(key) as [string, string]), deliveries]),
    };
  }

  told(): BacklogTally {
    const types = topOf(this.#types, this.#deliveries, (type) => ({ type }));
    const sources = topOf(this.#sources, this.#deliveries, (key) => {
      const [node, component] = JSON.parse(key) as [string, string];
      return { node, component };
    });
    return { deliveries: this.#deliveries, folded: this.#folded, bySeverity: { ...this.#bySeverity }, byType: types, bySource: sources };
  }
}

function count(counts: Map<string, number>, name: string): void {
  const before = counts.get(name);
  if (before === undefined && counts.size >= COUNTED_MAX) return;
  counts.set(name, (before ?? 0) + 1);
}

function topOf<T extends object>(counts: ReadonlyMap<string, number>, total: number, nameOf: (key: string) => T): Named<T> {
  const sorted = [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)).slice(0, NAMED_MAX);
  const top: (T & { deliveries: number })[] = [];
  let bytes = 0;
  let others = total;
  for (const [key, deliveries] of sorted) {
    const named = { ...nameOf(key), deliveries };
    bytes += Buffer.byteLength(JSON.stringify(named));
    if (bytes > NAMES_BYTES_MAX) break;
    top.push(named);
    others -= deliveries;
  }
  return { top, others };
}
