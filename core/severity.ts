/** debug < info < warn < error < critical. */
export type Severity = 'debug' | 'info' | 'warn' | 'error' | 'critical';

export const SEVERITIES: readonly Severity[] = ['debug', 'info', 'warn', 'error', 'critical'];

/** Numbers in the proto: OpenTelemetry's SeverityNumber (log data model, "Severity Fields"). 0 is unspecified. */
export const SEVERITY_NUMBER: Readonly<Record<Severity, number>> = { debug: 5, info: 9, warn: 13, error: 17, critical: 21 };

const BY_NUMBER = new Map<number, Severity>(SEVERITIES.map((severity) => [SEVERITY_NUMBER[severity], severity]));

/** The severity of a proto number; `undefined` if it is none of the five. */
export function severityOf(number: number): Severity | undefined {
  return BY_NUMBER.get(number);
}
