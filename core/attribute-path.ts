import type { JsonObject } from './event.ts';

/**
 * What stands in attributes at a path such as `disk.name`: the member of that very name, or else the member `name` of the map `disk`, at any
 * depth. Undefined where there is nothing. Lists are not gone into.
 */
export function attributeAt(attributes: JsonObject, path: string): unknown {
  if (Object.hasOwn(attributes, path)) return attributes[path];
  for (let dot = path.lastIndexOf('.'); dot > 0; dot = path.lastIndexOf('.', dot - 1)) {
    const name = path.slice(0, dot);
    const inner = Object.hasOwn(attributes, name) ? attributes[name] : undefined;
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) continue;
    const found = attributeAt(inner as JsonObject, path.slice(dot + 1));
    if (found !== undefined) return found;
  }
  return undefined;
}
