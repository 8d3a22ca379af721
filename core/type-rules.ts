import { CATALOG, isCatalog, type Catalog, type CatalogType } from './catalog.ts';
import { FondacoError } from './errors.ts';
import { Nearest } from './nearest-names.ts';

/** Answers that are kept: a sender with a wrong type has it in every event. Further types are looked for in a cheaper way. */
const REFUSALS_MAX = 1000;
/** Types of Fondaco's own events, which recorders and proxies make: known without a catalog. */
const OWN_PREFIX = 'fondaco.';
/** Steps to find the nearest of one: about a millisecond. */
const CELLS_MAX = 300_000;

/** What becomes of event types: the catalogs of a recorder or a proxy, and whether they are all that there is. */
export class TypeRules {
  readonly catalogs: readonly Catalog[];
  /** Whether types of no catalog are refused. */
  readonly isClosed: boolean;
  readonly #types = new Map<string, CatalogType>();
  readonly #refusals = new Map<string, string>();
  readonly #nearest: Nearest;

  /** Throws CONFIG for what is no catalog, and for a type that two of them have. */
  constructor(catalogs: readonly Catalog[], { isClosed }: { readonly isClosed: boolean }) {
    this.catalogs = catalogs;
    this.isClosed = isClosed;
    for (const [index, catalog] of catalogs.entries()) {
      if (!isCatalog(catalog))
        throw new FondacoError('CONFIG', `catalogs[${index}] must be made by defineCatalog or loadCatalogs, got ${typeof catalog}`);
      for (const type of catalog[CATALOG].types) {
        if (this.#types.has(type.type))
          throw new FondacoError('CONFIG', `catalogs[${index}] must have types of its own, got ${type.type}, which an earlier one has`);
        this.#types.set(type.type, type);
      }
    }
    this.#nearest = new Nearest(this.#types.keys());
  }

  /** What the catalogs say of a type; `undefined` if nothing. */
  find(type: string): CatalogType | undefined {
    return this.#types.get(type);
  }

  /** Why a type is refused, naming the nearest one that is known, in at most 350 bytes; `undefined` if it is taken. */
  refusal(type: string): string | undefined {
    if (!this.isClosed || this.#types.has(type) || type.startsWith(OWN_PREFIX)) return undefined;
    let text = this.#refusals.get(type);
    if (text === undefined) {
      const isKept = this.#refusals.size < REFUSALS_MAX;
      const near = this.#nearest.to(type, isKept ? CELLS_MAX : 0);
      text = `type must be one of the catalogs, such as ${near ?? 'none'}, got ${JSON.stringify(type)}`;
      if (isKept) this.#refusals.set(type, text);
    }
    return text;
  }
}
