/** True if `text` is what `glob` says, `*` standing for any characters, also none. Takes at most their lengths multiplied, whatever the glob. */
export function matchesGlob(glob: string, text: string): boolean {
  let at = 0;
  let from = 0;
  /** The last star passed, and where in the text what it stands for ends as of now. */
  let star = -1;
  let starEnd = 0;
  while (at < text.length) {
    if (glob[from] === '*') {
      star = from++;
      starEnd = at;
    } else if (from < glob.length && glob[from] === text[at]) {
      from++;
      at++;
    } else if (star >= 0) {
      from = star + 1;
      at = ++starEnd;
    } else return false;
  }
  while (glob[from] === '*') from++;
  return from === glob.length;
}
