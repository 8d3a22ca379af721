import { CATALOG, isCatalog, type Catalog, type CatalogType } from './catalog.ts';
import { FondacoError } from './errors.ts';
import { nearest } from './nearest.ts';

/** Answers that are kept: a sender with a wrong type has it in every event. */
const REFUSALS_MAX = 1000;

/** What becomes of event types: the catalogs of a recorder or a proxy, and whether they are all that there is. */
export class TypeRules {
  readonly catalogs: readonly Catalog[];
  /** Whether types of no catalog are refused. */
  readonly isClosed: boolean;
  readonly #types = new Map<string, CatalogType>();
  readonly #refusals = new Map<string, string>();

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
  }

  /** What the catalogs say of a type; `undefined` if nothing. */
  find(type: string): CatalogType | undefined {
    return this.#types.get(type);
  }

  /** Why a type is refused, naming the nearest one that is known; `undefined` if it is taken. */
  refusal(type: string): string | undefined {
    if (!this.isClosed || this.#types.has(type)) return undefined;
    let text = this.#refusals.get(type);
    if (text === undefined) {
      const near = nearest(type, this.#types.keys());
      const names = this.catalogs.map((catalog) => catalog[CATALOG].name).join(', ');
      text = `type must be one of catalog ${names}, such as ${near ?? 'none'}, got ${JSON.stringify(type)}`;
      if (this.#refusals.size >= REFUSALS_MAX) this.#refusals.clear();
      this.#refusals.set(type, text);
    }
    return text;
  }
}
