import { createServer } from 'node:net';

/** Below the range from which Linux takes ports for outgoing connections (32768 and up; macOS and Windows: 49152). */
const FIRST = 20_000;
const COUNT = 10_000;
const TRIES = 100;

/**
 * So many ports of 127.0.0.1 where nobody listens. Asking the system for any port would give one from the range of outgoing connections;
 * there a recorder that knocks on a killed proxy's port can be given that very port, connect to itself, and keep the proxy from coming
 * back. `random` gives numbers in [0, 1).
 */
export async function freePorts(count: number, random: () => number): Promise<number[]> {
  const start = Math.floor(random() * COUNT);
  const ports: number[] = [];
  for (let tried = 0; tried < TRIES && ports.length < count; tried++) {
    const port = FIRST + ((start + tried) % COUNT);
    if (await isFree(port)) ports.push(port);
  }
  if (ports.length < count)
    throw new Error(`of the ${TRIES} ports from ${FIRST + start} on, ${ports.length} are free on 127.0.0.1, not ${count}`);
  return ports;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
