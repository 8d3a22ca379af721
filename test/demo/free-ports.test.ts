import { once } from 'node:events';
import { createServer } from 'node:net';
import { assert } from 'chai';
import { freePorts } from '../../demo/free-ports.ts';

describe('freePorts', () => {
  it('gives different ports below those of outgoing connections', async () => {
    for (const chance of [0, 0.1234, 0.99999]) {
      const ports = await freePorts(3, () => chance);
      assert.lengthOf(new Set(ports), 3);
      for (const port of ports) assert.isTrue(port >= 20_000 && port < 30_000);
    }
  });

  it('passes over a port that is taken', async () => {
    const [first] = await freePorts(1, () => 0.5);
    const server = createServer().listen(first, '127.0.0.1');
    await once(server, 'listening');
    try {
      const [second] = await freePorts(1, () => 0.5);
      assert.notEqual(second, first);
    } finally {
      server.close();
    }
  });
});
