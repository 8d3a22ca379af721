/** The configs in examples/: what a user copies must be right. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { assert } from 'chai';
import { checkConfig, loadConfig } from '../../proxy/config.ts';

const EXAMPLES = fileURLToPath(new URL('../../examples', import.meta.url));
/** The one with a module wants the built package: test/system/examples.test.ts runs it. */
const files = readdirSync(EXAMPLES).filter((file) => file.endsWith('.yaml') && file !== 'module-writer.yaml');

describe('the example configs', () => {
  for (const file of files) {
    it(`${file}: nothing is wrong with it`, async () => {
      const checked = await checkConfig(join(EXAMPLES, file), { env: {}, cwd: EXAMPLES });
      assert.deepEqual('problems' in checked ? checked.problems : [], []);
    });
  }

  it('subscriber.yaml: has the figures of ODIM', async () => {
    const { writers } = await loadConfig(join(EXAMPLES, 'subscriber.yaml'), { env: {}, cwd: EXAMPLES, hostname: 'h' });
    const odim = writers.find(({ name }) => name === 'odim-style')!;
    assert.deepEqual(odim.retry, { policy: 'constant', intervalMs: 60_000, attempts: 3 });
    assert.equal(odim.settings.format, 'redfish');
  });
});
