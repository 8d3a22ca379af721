/** A moment as protobuf's Timestamp has it: whole seconds since 1970 (negative before), and nanoseconds 0 to 999,999,999 after them. */
export interface Timestamp {
  readonly seconds: number;
  readonly nanos: number;
}

const RFC_3339 = /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/;
/** 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z: the range of protobuf's Timestamp. */
const SECONDS_MIN = -62_135_596_800;
const SECONDS_MAX = 253_402_300_799;

/** True for what protobuf's Timestamp may hold. */
export function isTimestamp(seconds: number, nanos: number): boolean {
  return seconds >= SECONDS_MIN && seconds <= SECONDS_MAX && nanos >= 0 && nanos <= 999_999_999;
}

/** Reads RFC 3339 with up to nine digits of a second; an offset is converted to UTC. `undefined` for anything else, second 60 included. */
export function parseTime(text: string): Timestamp | undefined {
  const match = RFC_3339.exec(text);
  if (!match) return undefined;
  const [, year, month, day, hour, minute, second, fraction = '', sign, offsetHour = '0', offsetMinute = '0'] = match;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59 || Number(offsetHour) > 23 || Number(offsetMinute) > 59)
    return undefined;
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  if (date.getUTCMonth() !== Number(month) - 1 || date.getUTCDate() !== Number(day)) return undefined; // such as 30 February
  const offsetSeconds = (Number(offsetHour) * 60 + Number(offsetMinute)) * 60 * (sign === '-' ? -1 : 1);
  const seconds = date.getTime() / 1000 + Number(hour) * 3600 + Number(minute) * 60 + Number(second) - offsetSeconds;
  const nanos = Number(fraction.padEnd(9, '0'));
  return isTimestamp(seconds, nanos) ? { seconds, nanos } : undefined;
}

/** The Timestamp of a wall clock's milliseconds. */
export function timestampOf(ms: number): Timestamp {
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanos: Math.min(Math.round((ms - seconds * 1000) * 1_000_000), 999_999_999) };
}

let lastSecond = Number.NaN;
let lastSecondText = '';
let lastNanos = -1;
let lastText = '';

/** RFC 3339 in UTC with 0, 3, 6 or 9 digits of a second, as protobuf's JSON mapping writes a Timestamp. */
export function formatTime(seconds: number, nanos: number): string {
  // Events come in bursts: most share their second with the one before, and many their moment.
  if (seconds !== lastSecond) {
    lastSecondText = new Date(seconds * 1000).toISOString().slice(0, 19);
    lastSecond = seconds;
    lastNanos = -1;
  }
  if (nanos !== lastNanos) {
    lastText = `${lastSecondText}${fraction(nanos)}Z`;
    lastNanos = nanos;
  }
  return lastText;
}

let lastMs = Number.NaN;
let lastMsText = '';

/** A wall clock's milliseconds as text. */
export function formatMs(ms: number): string {
  if (ms !== lastMs) {
    const { seconds, nanos } = timestampOf(ms);
    lastMsText = formatTime(seconds, nanos);
    lastMs = ms;
  }
  return lastMsText;
}

function fraction(nanos: number): string {
  if (nanos === 0) return '';
  if (nanos % 1_000_000 === 0) return `.${pad(nanos / 1_000_000, 3)}`;
  return nanos % 1000 === 0 ? `.${pad(nanos / 1000, 6)}` : `.${pad(nanos, 9)}`;
}

function pad(value: number, digits: number): string {
  return String(value).padStart(digits, '0');
}
