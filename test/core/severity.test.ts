import { assert } from 'chai';
import { SEVERITIES, SEVERITY_NUMBER, severityOf } from '../../core/severity.ts';

describe('severity', () => {
  it("has OpenTelemetry's numbers, in order", () => {
    assert.deepEqual(
      SEVERITIES.map((severity) => [severity, SEVERITY_NUMBER[severity]]),
      [
        ['debug', 5],
        ['info', 9],
        ['warn', 13],
        ['error', 17],
        ['critical', 21],
      ],
    );
  });

  it('is one of five: every other number is none', () => {
    const known = Array.from({ length: 100 }, (_, at) => at - 10).filter((number) => severityOf(number) !== undefined);
    assert.deepEqual(known, [5, 9, 13, 17, 21]);
    for (const severity of SEVERITIES) assert.equal(severityOf(SEVERITY_NUMBER[severity]), severity);
  });
});
