/** What the headers of both formats have: names made of an event's source, and the priority. */
import { isIPv6 } from 'node:net';
import { matchesGlob } from '../../core/glob.ts';
import type { Delivery } from '../../core/writer.ts';
import { priority, type Facility } from './priority.ts';

/** RFC 5424 section 6. */
const HOSTNAME_CHARS = 255;

export interface HeaderOptions {
  readonly facility: Facility;
  /** By patterns of event types; the first that fits counts. */
  readonly facilities: Readonly<Record<string, Facility>>;
  /** Templates with {site}, {node}, {component}. */
  readonly hostname: string;
  readonly appName: string;
}

export function headerPriority({ type, severity }: Delivery['event'], { facility, facilities }: HeaderOptions): number {
  const special = Object.entries(facilities).find(([pattern]) => matchesGlob(pattern, type));
  return priority(special?.[1] ?? facility, severity);
}

/** The template with an event's source in it; '' where there is nothing to put in. */
export function filled(template: string, { source }: Delivery['event']): string {
  return template.replace(/\{(site|node|component)\}/g, (_, name: 'site' | 'node' | 'component') => source[name]);
}

/**
 * A host's name as servers take it: an address of IPv6, or letters, digits and few others, with `_` for what is not. syslog-ng takes no message
 * whose host has a bracket, and others take one with a colon for a tag. '' where there is none.
 */
export function headerHost(event: Delivery['event'], { hostname }: HeaderOptions): string {
  const name = filled(hostname, event);
  if (isIPv6(name) && !name.includes('%')) return name;
  const host = name.replace(/[^A-Za-z0-9._-]+/g, '_').slice(0, HOSTNAME_CHARS);
  return host === '-' ? '' : host;
}
