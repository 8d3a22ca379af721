/** What is shorter is no secret, and hiding it would blot out words. */
const SECRET_CHARS_MIN = 4;

/** Hides the secrets of a destination in what it says: some repeat, in an error, the very token that they do not like. */
export class Secrets {
  /** How many bytes of a text have to be looked at beyond those that are shown, so that none is cut in the middle. */
  readonly bytesMax: number;
  readonly #texts: readonly string[];

  constructor(texts: readonly string[]) {
    // Longest first: one may lie in another.
    this.#texts = [...new Set(texts.flatMap(formsOf))]
      .filter(({ length }) => length >= SECRET_CHARS_MIN)
      .sort((a, b) => b.length - a.length);
    this.bytesMax = Math.max(0, ...this.#texts.map((text) => Buffer.byteLength(text)));
  }

  hide(text: string): string {
    return this.#texts.reduce((shown, secret) => shown.replaceAll(secret, '***'), text);
  }
}

/** A text as it comes back: in a URL, a form, JSON, HTML or base64 (RFC 4648, with and without padding, and its URL-safe alphabet). */
function formsOf(text: string): string[] {
  const json = JSON.stringify(text).slice(1, -1);
  const html = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
  const url = encodeURIComponent(Buffer.from(text).toString()); // without lone surrogates, which it throws at
  const base64 = Buffer.from(text).toString('base64');
  return [
    text,
    json,
    json.replaceAll('/', '\\/'),
    html,
    html.replaceAll("'", '&#39;'),
    url,
    url.replaceAll('%20', '+'),
    base64,
    base64.replace(/=+$/, ''),
    Buffer.from(text).toString('base64url'),
  ];
}
