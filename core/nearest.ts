/**
 * The one of `candidates` that `text` was most likely meant to be: with the fewest letters to change, add or leave out, capitals aside. Where
 * none is near, the one that begins like it for longest. `undefined` if there are no candidates.
 */
export function nearest(text: string, candidates: Iterable<string>): string | undefined {
  const wanted = text.toLowerCase();
  let best: string | undefined;
  let distance = Math.max(3, Math.ceil(wanted.length / 3)) + 1;
  let alike: string | undefined;
  let alikeChars = -1;
  for (const candidate of candidates) {
    const given = candidate.toLowerCase();
    const found = editDistance(wanted, given, distance);
    if (found < distance) [best, distance] = [candidate, found];
    const chars = best === undefined ? sharedChars(wanted, given) : -1;
    if (chars > alikeChars) [alike, alikeChars] = [candidate, chars];
  }
  return best ?? alike;
}

/** Levenshtein's distance, or `limit` if it is not below that: only cells so near to the diagonal are looked at. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let before = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = new Array<number>(b.length + 1).fill(limit);
    row[0] = i;
    let lowest = i;
    for (let j = Math.max(1, i - limit); j <= Math.min(b.length, i + limit); j++) {
      const changed = before[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(changed, before[j]! + 1, row[j - 1]! + 1);
      lowest = Math.min(lowest, row[j]!);
    }
    if (lowest >= limit) return limit;
    before = row;
  }
  return Math.min(before[b.length]!, limit);
}

function sharedChars(a: string, b: string): number {
  let chars = 0;
  while (chars < a.length && a[chars] === b[chars]) chars++;
  return chars;
}
