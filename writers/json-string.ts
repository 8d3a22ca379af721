/** What JSON text may hold between quotes as it is: most ids, names and times. */
const PLAIN = /^[A-Za-z0-9 _.:;,/+=@#()[\]{}<>|~^*!?$%&'-]*$/;

/** JSON text of a string. Most are plain, and a look is cheaper than a call of JSON.stringify. */
export function quote(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text);
}

/** `,"name":"text"`, or nothing for no text. */
export function textMember(name: string, text: string | undefined): string {
  return text === undefined || text === '' ? '' : `,"${name}":${quote(text)}`;
}

/** JSON text of names and strings. They are shared by many events, so the last is kept. */
export function quoteMap(map: Readonly<Record<string, string>>): string {
  if (map !== lastMap) {
    lastMap = map;
    lastText = JSON.stringify(map);
  }
  return lastText;
}

let lastMap: Readonly<Record<string, string>> | undefined;
let lastText = '';
