import { asError } from './errors.ts';

const TEXT_BYTES_MAX = 2048;
const STACK_BYTES_MAX = 8192;
const CAUSES_MAX = 3;
const FACTS_MAX = 20;
const MARK = '…';

/** The text in at most so many bytes; one that was cut ends in `…`. */
export function cutText(text: string, bytesMax = TEXT_BYTES_MAX): string {
  if (text.length <= bytesMax && Buffer.byteLength(text) <= bytesMax) return text;
  const bytes = Buffer.from(text.slice(0, bytesMax));
  let end = Math.min(bytes.length, bytesMax - Buffer.byteLength(MARK));
  while ((bytes[end]! & 0xc0) === 0x80) end--; // not in the middle of a character
  return `${bytes.toString('utf8', 0, end)}${MARK}`;
}

/**
 * Of anybody's error, what goes into a log: at most 2 KiB of its message, 8 KiB of its stack, what else is a short fact of it (`code`, say), and
 * the same of its first causes. Never throws.
 */
export function shortError(thrown: unknown): Error {
  try {
    return shortened(asError(thrown), CAUSES_MAX);
  } catch {
    return new Error('an error that cannot be shown was thrown');
  }
}

function shortened(given: Error, causesMax: number): Error {
  // Of anybody's errors these need not be texts.
  const { message: whole, stack = String(given), name: kind }: { message: unknown; stack?: unknown; name: unknown } = given;
  const message = cutText(String(whole));
  const cause = given.cause === undefined || causesMax === 0 ? {} : { cause: shortened(asError(given.cause), causesMax - 1) };
  const short = new Error(message, cause);
  for (const [name, fact] of Object.entries(given).slice(0, FACTS_MAX)) {
    const value: unknown = typeof fact === 'string' ? cutText(fact) : fact;
    if (['string', 'number', 'boolean'].includes(typeof value)) Object.defineProperty(short, name, { value, enumerable: true });
  }
  // A stack begins with the message.
  short.stack = cutText(
    String(stack).replace(String(whole), () => message),
    STACK_BYTES_MAX,
  );
  Object.defineProperty(short, 'name', { value: cutText(String(kind)) });
  return short;
}
