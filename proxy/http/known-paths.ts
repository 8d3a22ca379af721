import { HttpError } from './http-error.ts';

/** At most so much of an unknown path is shown. */
const SHOWN_CHARS = 200;

/** The paths that routes were registered for, to tell one who asks for another what there is. */
export class KnownPaths {
  readonly #paths = new Map<string, { readonly matches: RegExp; readonly methods: Set<string> }>();

  /** `url` as the router has it: `/v1/writers/:name/resume`. */
  add(url: string, methods: readonly string[]): void {
    const pattern = url.replace(/[.+?^${}()|[\]\\]/g, String.raw`\$&`).replaceAll(/:[A-Za-z]+/g, '[^/]+');
    const path = this.#paths.get(url) ?? { matches: new RegExp(`^${pattern}$`), methods: new Set() };
    for (const method of methods) path.methods.add(method);
    this.#paths.set(url, path);
  }

  /** What to answer a request that no route takes: 405 with what `Allow` is to say, or 404 with all the paths. */
  notFound(method: string, url: string): { error: HttpError; allow?: string } {
    const path = url.replace(/[?#].*$/s, '');
    const shown = `${method} ${path.length > SHOWN_CHARS ? `${path.slice(0, SHOWN_CHARS)}…` : path}`;
    const known = this.#paths.get(path) ?? [...this.#paths.values()].find(({ matches }) => matches.test(path));
    if (known) {
      const allow = [...known.methods].join(', ');
      return { error: new HttpError(405, `${shown}: this path takes ${allow}`), allow };
    }
    const paths = [...this.#paths.keys()].map((each) => each.replaceAll(/:([A-Za-z]+)/g, '{$1}'));
    return { error: new HttpError(404, `${shown} is none of ${paths.join(', ')}`) };
  }
}
