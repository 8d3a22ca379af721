// Sees which modules this process loads, by a loader hook; CommonJS ones by their cache.
import { createRequire, register } from 'node:module';
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const hook = `
let port;
export const initialize = (data) => { port = data.port; };
export const load = async (url, context, next) => { port.postMessage(url); return next(url, context); };
`;
const packageOf = (path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1];

/** Begins to watch. `look` tells what was loaded so far: modules of ours by their paths, packages and Node's own modules by their names. */
export function watchModules() {
  const { port1, port2 } = new MessageChannel();
  register(`data:text/javascript,${encodeURIComponent(hook)}`, { data: { port: port2 }, transferList: [port2] });
  port1.unref();
  const seen = new Set();
  const builtins = new Set();
  const look = () => {
    for (let message = receiveMessageOnPort(port1); message; message = receiveMessageOnPort(port1)) {
      const url = message.message;
      if (url.startsWith('file:')) seen.add(fileURLToPath(url.split('?')[0]));
      else if (url.startsWith('node:')) builtins.add(url);
    }
    for (const path of Object.keys(createRequire(import.meta.url).cache)) seen.add(path);
    const paths = [...seen].filter((path) => path.startsWith(root)).map((path) => path.slice(root.length));
    return {
      ours: paths.filter((path) => !path.startsWith('node_modules/')),
      packages: [...new Set(paths.map(packageOf).filter((name) => name !== undefined))],
      builtins: [...builtins],
    };
  };
  return { look, close: () => port1.close() };
}
