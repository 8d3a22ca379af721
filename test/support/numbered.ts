import type { Severity } from '../../core/severity.ts';
import type { EventDetails } from '../../core/event-input.ts';

/** The n-th event of an agent. Every 500th is critical; every other third repeats the one before, which dedup may fold. */
export function numbered(component: string, n: number): [type: string, severity: Severity, message: string, details?: EventDetails] {
  if (n % 500 === 0) return ['test.Critical', 'critical', `${component} critical ${n}`];
  const shown = n % 3 === 0 && (n - 1) % 500 !== 0 ? n - 1 : n;
  const details = { object: { kind: 'Thing', name: String(shown % 7) }, attributes: { shown } };
  return ['test.Event', 'info', `${component} event ${shown}`, details];
}
