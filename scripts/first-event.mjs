// From nothing to the first event, by the README alone: pastes the blocks of its section "Your first event" into a shell, in fresh folders and a bare
// environment, and says how long it took until the events were at the webhook; then kills the proxy as the text says.
//   node scripts/first-event.mjs                 clones this repository, and packs in the clone
//   node scripts/first-event.mjs --packed DIR    with the tarballs that are in DIR
// As root on Linux the programs run in a network of their own, so that the ports of the README are free.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const LIMIT_MS = 120_000;
const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'fondaco-first-'));
const env = {
  PATH: process.env.PATH,
  HOME: join(folder, 'home'),
  npm_config_userconfig: process.env.npm_config_userconfig ?? join(homedir(), '.npmrc'),
  npm_config_cache: process.env.npm_config_cache ?? join(homedir(), '.npm'),
};
const hasNetworks = process.platform === 'linux' && process.getuid() === 0 && spawnSync('unshare', ['-n', 'true']).status === 0;
const started = Date.now();
let shell;

try {
  mkdirSync(env.HOME);
  const packed = packages();
  const [setUp, run, light] = blocks().map((block) => block.replaceAll('/path/to/fondaco/packed', packed));
  const site = join(folder, 'site');
  mkdirSync(site);
  paste(setUp, site);
  shell = openShell(site);
  shell.stdin.write(run);
  await until('the first event is at the webhook', () => shell.said.includes('"agent.Started"'));
  say('the first event of an agent of one’s own is at the webhook');

  const pid = Number(/"pid":(\d+)/.exec(readFileSync(join(site, 'proxy.log'), 'utf8'))?.[1]);
  process.kill(pid, 'SIGKILL');
  writeFileSync(join(site, 'touched'), '');
  shell.stdin.write('npx fondaco proxy 2>> proxy.log &\n');
  await until('what was recorded without a proxy is at the webhook', () => shell.said.includes('touched was changed'));
  say('the proxy was killed and started again, and what was recorded meanwhile is there, too');

  const app = join(folder, 'app');
  mkdirSync(app);
  writeFileSync(join(app, 'package.json'), '{ "name": "app", "version": "1.0.0" }\n');
  const lines = light.split('\n');
  paste(lines[0], app); // npm needs the world's network, the application the proxy's
  shell.stdin.write(`cd ${app}\n${lines.slice(1).join('\n')}`);
  await until('the event of the application is at the webhook', () => shell.said.includes('"app.Started"'));
  say('the first event of a CommonJS application with the light package is at the webhook');
} catch (error) {
  console.error(`${error.message}\n${shell?.said ?? ''}`);
  process.exitCode = 1;
} finally {
  if (shell) process.kill(-shell.pid, 'SIGKILL');
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

function packages() {
  const given = process.argv.indexOf('--packed');
  if (given > 0) return process.argv[given + 1];
  const clone = join(folder, 'fondaco');
  execFileSync('git', ['clone', '--quiet', root, clone], { env, stdio: 'inherit' });
  say('cloned');
  execFileSync('npm', ['run', '--silent', 'pack'], { cwd: clone, env, stdio: ['ignore', 'ignore', 'inherit'] });
  say('packed');
  return join(clone, 'packed');
}

/** The blocks of shell in the section. */
function blocks() {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const [, section = ''] = /^## Your first event\n(.*?)^## /ms.exec(readme) ?? [];
  const found = [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, text]) => text);
  if (found.length !== 3) throw new Error(`the section "Your first event" of the README must have 3 blocks of sh, got ${found.length}`);
  return found;
}

/** Pastes into a shell that ends. */
function paste(text, cwd) {
  const { status, stdout, stderr } = spawnSync('sh', ['-e'], { cwd, env, input: text, encoding: 'utf8' });
  if (status !== 0) throw new Error(`sh ended with ${status} in:\n${text}\n${stdout}${stderr}`);
}

/** A shell that stays, in a network of its own where that is possible. */
function openShell(cwd) {
  const command = hasNetworks ? ['unshare', '-n', 'sh', '-c', 'ip link set lo up && exec sh'] : ['sh'];
  const child = spawn(command[0], command.slice(1), { cwd, env, stdio: 'pipe', detached: true });
  child.said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (child.said += text));
  return child;
}

async function until(what, isDone) {
  const end = Date.now() + LIMIT_MS;
  while (!isDone()) {
    if (Date.now() > end) throw new Error(`waited ${LIMIT_MS / 1000} s in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function say(text) {
  console.log(`${((Date.now() - started) / 1000).toFixed(1).padStart(6)} s  ${text}`);
}
