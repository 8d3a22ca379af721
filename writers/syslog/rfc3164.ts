/**
 * RFC 3164, as servers read it: a time of seconds without year and zone, a host, a tag of 32 letters, digits and few others, a colon. It has
 * nothing for the rest, so the structured data of RFC 5424 stands behind the text, where people do not have to read over it.
 */
import type { Delivery } from '../../core/writer.ts';
import { filled, headerHost, headerPriority, type HeaderOptions } from './header.ts';
import type { Layout } from './message.ts';

const TAG_CHARS = 32;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

export interface Rfc3164Options extends HeaderOptions {
  readonly timezone: 'utc' | 'local';
}

export function rfc3164(options: Rfc3164Options): Layout {
  return {
    holdsTime: () => false,
    put: (event, text, data) => {
      const header = `<${headerPriority(event, options)}>${timestamp(event.time, options.timezone)} ${headerHost(event, options) || '-'}`;
      return `${header} ${tag(event, options)}: ${text}${text === '' ? '' : ' '}${data}`;
    },
  };
}

/** `Mmm dd hh:mm:ss`, the day padded with a space (section 4.1.2). */
function timestamp(time: string, timezone: 'utc' | 'local'): string {
  const at = new Date(time);
  const [month, day, ...clock] =
    timezone === 'utc'
      ? [at.getUTCMonth(), at.getUTCDate(), at.getUTCHours(), at.getUTCMinutes(), at.getUTCSeconds()]
      : [at.getMonth(), at.getDate(), at.getHours(), at.getMinutes(), at.getSeconds()];
  return `${MONTHS[month]} ${String(day).padStart(2)} ${clock.map((value) => String(value).padStart(2, '0')).join(':')}`;
}

function tag(event: Delivery['event'], { appName }: Rfc3164Options): string {
  const name = filled(appName, event)
    .replace(/[^A-Za-z0-9._/-]+/g, '_')
    .slice(0, TAG_CHARS);
  return /[A-Za-z0-9]/.test(name) ? name : 'fondaco';
}
