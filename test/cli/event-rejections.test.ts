import { assert } from 'chai';
import { ExitError } from '../../cli/exit.ts';
import { listRejections, rejectionTable } from '../../cli/event-rejections.ts';

describe('fondaco event list --rejected', () => {
  it('shows a table that fits the screen', () => {
    const common = { rejectedTime: '2026-11-22T08:00:00.123Z', source: { node: 'n1', component: 'c1' } };
    const reason = 'type must be one of the catalogs, such as port.Down, got "port.Dwn"';
    const rejections = [
      { ...common, number: 12, input: 'http', id: null, type: '', reason: '\u001b[2J' },
      { ...common, number: 9, input: 'grpc', id: '0199e0c4-7b1e-7000-8000-000000000001-17', type: 'port.Dwn', reason },
    ];
    assert.deepEqual(rejectionTable(rejections, 100).split('\n'), [
      'no  rejected (UTC)           input  type      source  reason                          id',
      '12  2026-11-22 08:00:00.123  http   -         n1/c1   \\e[2J                           -',
      '9   2026-11-22 08:00:00.123  grpc   port.Dwn  n1/c1   type must be one of the catal…  0199e0c4-7b1e-7000-8000-000000000001-17',
    ]);
  });

  it('says which filters it has not got', async () => {
    const api = { url: 'http://127.0.0.1:1', tls: {}, token: undefined };
    const error = await listRejections(api, { limit: 1, minSeverity: 'warn' }).catch((thrown: unknown) => thrown);
    assert.instanceOf(error, ExitError);
    assert.deepInclude(error, {
      exitCode: 64,
      message: '--rejected goes with --type, --node, --component, --limit and --before, got --min-severity',
    });
  });
});
