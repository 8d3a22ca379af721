/** PRI of a message: RFC 5424 section 6.2.1, which RFC 3164 section 4.1.1 shares. */
import type { Severity } from '../../core/severity.ts';

/** By number. */
export const FACILITIES = [
  'kern',
  'user',
  'mail',
  'daemon',
  'auth',
  'syslog',
  'lpr',
  'news',
  'uucp',
  'cron',
  'authpriv',
  'ftp',
  'ntp',
  'audit',
  'alert',
  'clock',
  'local0',
  'local1',
  'local2',
  'local3',
  'local4',
  'local5',
  'local6',
  'local7',
] as const;

export type Facility = (typeof FACILITIES)[number];

/** Syslog's numbers of our severities; emergency, alert and notice have none of ours. */
export const SYSLOG_SEVERITY: Readonly<Record<Severity, number>> = { debug: 7, info: 6, warn: 4, error: 3, critical: 2 };

export function priority(facility: Facility, severity: Severity): number {
  return FACILITIES.indexOf(facility) * 8 + SYSLOG_SEVERITY[severity];
}
