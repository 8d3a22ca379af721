/** Names that a wrong one may have been meant to be, prepared once. */
export class Nearest {
  readonly #names: readonly { readonly name: string; readonly lower: string }[];
  #before: number[] = [];
  #row: number[] = [];

  constructor(names: Iterable<string>) {
    this.#names = Array.from(names, (name) => ({ name, lower: name.toLowerCase() }));
  }

  /**
   * The name with the fewest letters to change, add or leave out, capitals aside. Where none is near, the one that begins like `text` for
   * longest; `undefined` if there are no names. Distances take `cellsMax` steps at most: what is left then goes by its beginning, too.
   */
  to(text: string, cellsMax: number): string | undefined {
    const wanted = text.toLowerCase();
    let cells = cellsMax;
    let best: string | undefined;
    let distance = Math.min(Math.max(3, Math.ceil(wanted.length / 3)), 8) + 1;
    let alike: string | undefined;
    let alikeChars = -1;
    for (const { name, lower } of this.#names) {
      if (cells > 0 && Math.abs(wanted.length - lower.length) < distance) {
        cells -= (wanted.length + 1) * (2 * distance + 1);
        const found = this.#distance(wanted, lower, distance);
        if (found < distance) [best, distance] = [name, found];
      }
      if (best !== undefined) continue;
      const chars = sharedChars(wanted, lower);
      if (chars > alikeChars) [alike, alikeChars] = [name, chars];
    }
    return best ?? alike;
  }

  /** Levenshtein's distance, or `limit` if it is not below that: only cells so near to the diagonal are looked at. */
  #distance(a: string, b: string, limit: number): number {
    let before = this.#before;
    let row = this.#row;
    for (let j = 0; j <= b.length; j++) before[j] = j;
    for (let i = 1; i <= a.length; i++) {
      const first = Math.max(1, i - limit);
      const last = Math.min(b.length, i + limit);
      row[first - 1] = first === 1 ? i : limit;
      let lowest = row[first - 1]!;
      for (let j = first; j <= last; j++) {
        const changed = before[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
        row[j] = Math.min(changed, before[j]! + 1, row[j - 1]! + 1);
        lowest = Math.min(lowest, row[j]!);
      }
      if (last < b.length) row[last + 1] = limit;
      if (lowest >= limit) return limit;
      [before, row] = [row, before];
    }
    return Math.min(before[b.length]!, limit);
  }
}

function sharedChars(a: string, b: string): number {
  let chars = 0;
  while (chars < a.length && a[chars] === b[chars]) chars++;
  return chars;
}
