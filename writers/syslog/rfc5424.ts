/**
 * RFC 5424. Where it is easily done wrong:
 *
 * - a field without a value is `-` (section 6); one with characters beyond printable ASCII has `_` in their place, and the whole of it is in the
 *   structured data
 * - TIME-SECFRAC has six digits at most (section 6.2.3): nanoseconds are cut, and the time in full is in the structured data
 * - MSGID has 32 characters at most: a longer type is cut, and is in the structured data
 * - a text that is UTF-8 begins with a byte order mark (section 6.4); one of ASCII needs none
 * - without a text there is no space behind the structured data
 */
import type { Delivery } from '../../core/writer.ts';
import { filled, headerHost, headerPriority, type HeaderOptions } from './header.ts';
import type { Layout } from './message.ts';

const APP_NAME_CHARS = 48;
const MSGID_CHARS = 32;
/** Earlier years are misread: syslog-ng makes `1-01-01` of 0001-01-01. */
const SERVERS_KNOW = '1970';
const BOM = '\uFEFF';

export interface Rfc5424Options extends HeaderOptions {
  /** Whether a text that is not ASCII begins with a byte order mark. */
  readonly bom: boolean;
}

export function rfc5424(options: Rfc5424Options): Layout {
  return {
    holdsTime: (time) => sixDigits(time) === time && time >= SERVERS_KNOW,
    put: (event, text, data) => {
      const header = `<${headerPriority(event, options)}>1 ${sixDigits(event.time)} ${names(event, options)}`;
      const mark = options.bom && !isAscii(text) ? BOM : '';
      return `${header} ${data}${text === '' ? '' : ' '}${mark}${text}`;
    },
  };
}

/** HOSTNAME APP-NAME PROCID MSGID */
function names(event: Delivery['event'], options: Rfc5424Options): string {
  const app = field(filled(options.appName, event), APP_NAME_CHARS);
  return `${headerHost(event, options) || '-'} ${app} - ${field(event.type, MSGID_CHARS)}`;
}

/** PRINTUSASCII of so many characters, or the nil value. */
function field(text: string, charsMax: number): string {
  const ascii = text.replace(/[^\x21-\x7e]+/g, '_').slice(0, charsMax);
  return ascii === '' || ascii === '-' ? '-' : ascii;
}

function sixDigits(time: string): string {
  return time.replace(/(\.\d{6})\d+/, '$1');
}

function isAscii(text: string): boolean {
  return !/[^\x20-\x7e]/.test(text);
}
