// Run in a child: prints which modules the recorder loads, before and after its first spill. Modules are seen by a loader hook.
import { createRequire, register } from 'node:module';
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const hook = `
let port;
export const initialize = (data) => { port = data.port; };
export const load = async (url, context, next) => { port.postMessage(url); return next(url, context); };
`;
const { port1, port2 } = new MessageChannel();
register(`data:text/javascript,${encodeURIComponent(hook)}`, { data: { port: port2 }, transferList: [port2] });

const seen = new Set();
function look() {
  for (let message = receiveMessageOnPort(port1); message; message = receiveMessageOnPort(port1)) {
    if (message.message.startsWith('file:')) seen.add(fileURLToPath(message.message.split('?')[0]));
  }
  for (const path of Object.keys(createRequire(import.meta.url).cache)) seen.add(path);
  return [...seen].filter((path) => path.startsWith(root)).map((path) => path.slice(root.length));
}
const isOurs = (path) => !path.startsWith('node_modules/');
const packageOf = (path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1];

const { Recorder } = await import('../../recorder/index.ts');
const recorder = await Recorder.open({
  component: 'c',
  proxy: '127.0.0.1:1',
  spool: { directory: process.argv[2] },
  onError: () => undefined,
});
const before = look();
recorder.event('a.B', 'info', 'm');
await recorder.flush();
const after = look().filter(isOurs);
await recorder.close();
port1.close();
const packages = [...new Set(before.map(packageOf).filter((name) => name !== undefined))];
console.log(JSON.stringify({ before: before.filter(isOurs), after, packages }));
