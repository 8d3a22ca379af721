import { isIP } from 'node:net';
import { relative, resolve } from 'node:path';

/** What to write where, after `fondaco tls init`: for the proxy, for agents, for operators. `name` is what the proxy is called by. */
export function connectionLines(dir: string, name: string): string {
  const folder = relative('.', resolve(dir));
  const path = (file: string): string => `${folder === '' ? '.' : folder.startsWith('..') ? resolve(dir) : folder}/${file}`;
  const yaml = (file: string): string => (/^[\w./-]+$/.test(path(file)) ? path(file) : JSON.stringify(path(file)));
  const shell = (file: string): string => (/^[\w./-]+$/.test(path(file)) ? path(file) : `'${path(file).replaceAll("'", `'\\''`)}'`);
  const host = isIP(name) === 6 ? `[${name}]` : name;
  return `Proxy: in its config; paths are relative to that file. Without clientCa the token alone lets agents in.

  listen:
    grpc: 0.0.0.0:7070
    http: 0.0.0.0:7071
    tls: { cert: ${yaml('server.crt')}, key: ${yaml('server.key')}, clientCa: ${yaml('ca.crt')} }
    token: ${JSON.stringify(`\${file:${path('token')}}`)}

Agents: in code, with copies of these files, or in the environment.

  await recorder.open({
    component: 'cmd',
    proxy: '${host}:7070',
    tls: { ca: 'ca.crt', cert: 'agent.crt', key: 'agent.key' },
    token: readFileSync('token', 'utf8').trim(),
  });

  FONDACO_PROXY=${host}:7070 FONDACO_CA=ca.crt FONDACO_CERT=agent.crt FONDACO_KEY=agent.key FONDACO_TOKEN_FILE=token

Operators:

  fondaco status --api https://${host}:7071 --ca ${shell('ca.crt')} --cert ${shell('agent.crt')} --key ${shell('agent.key')} --token-file ${shell('token')}`;
}
