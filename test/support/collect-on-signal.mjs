// Preloaded into a process whose memory is measured: SIGUSR2 collects all garbage, and says on stderr what Node still holds.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');
process.on('SIGUSR2', () => {
  collect();
  process.stderr.write(`${JSON.stringify({ collected: process.memoryUsage() })}\n`);
});
