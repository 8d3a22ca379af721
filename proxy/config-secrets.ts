/** What of a config is a secret, and what says where something is and may be shown. */

/** Their values are not shown, wherever they stand. */
export const SECRET_KEYS = /(secrets?|token|bearer|password|key|headers)$/i;
/** A place, with a secret in it at times: many a webhook has its token in its path. */
const PLACE_KEYS = /^(url|address)$/;
const ADDRESS = /^[a-z][a-z+]*:\/\/(?:[^/?#]*@)?([^/?#]+)/i;
/** A shorter path says what a place is for. */
const PATH_CHARS_MIN = 16;

/**
 * What of a value that a variable gave may be a secret. `path`: the keys to where it stands; `text`: all that stands there, resolved. What a file
 * gave is one anywhere; what the environment gave, where the key says so, and in an address all but its host.
 */
export function secretsIn(
  path: readonly PropertyKey[],
  { text, value, isFile }: { readonly text: string; readonly value: string; readonly isFile: boolean },
): string[] {
  const keys = path.filter((key) => typeof key === 'string');
  if (PLACE_KEYS.test(keys.at(-1) ?? '')) {
    if (ADDRESS.test(value) && URL.canParse(value)) return [new URL(value).pathname].filter(({ length }) => length >= PATH_CHARS_MIN);
    return (ADDRESS.exec(text)?.[1] ?? text).includes(value) ? [] : [value];
  }
  return isFile || keys.some((key) => SECRET_KEYS.test(key)) ? [value] : [];
}
