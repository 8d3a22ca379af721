/** Which events a writer wants. Stored with its cursor, so that a change is seen. */
import type { DecodedEvent } from '../../core/event-codec.ts';
import { SEVERITY_NUMBER, type Severity } from '../../core/severity.ts';

/**
 * Architecture invariant: a filter names only what no dedupKey leaves out, type and severity. A field that may be left out has to go back into the
 * key first (core/event-walk.ts), or an event that a writer wants folds into one that it does not.
 */
export interface Filter {
  readonly minSeverity?: Severity;
  /** Event types, `*` standing for any characters: `cluster.*`. */
  readonly types?: readonly string[];
}

/** Compiles a filter into its test. */
export function compileFilter({ minSeverity, types }: Filter): (event: DecodedEvent) => boolean {
  const lowest = minSeverity ? SEVERITY_NUMBER[minSeverity] : 0;
  const pattern = types && new RegExp(`^(?:${types.map(globPattern).join('|')})$`);
  return (event) => SEVERITY_NUMBER[event.severity] >= lowest && (!pattern || pattern.test(event.type));
}

/** Whether two filters say the same. */
export function isSameFilter(a: Filter, b: Filter): boolean {
  return a.minSeverity === b.minSeverity && JSON.stringify(a.types) === JSON.stringify(b.types);
}

function globPattern(glob: string): string {
  return glob.replace(/[.+?^${}()|[\]\\]/g, String.raw`\$&`).replaceAll('*', '.*');
}
