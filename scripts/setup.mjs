// Everything between a clean clone and a running Fondaco; needs nothing but Node and npm, and costs milliseconds when nothing is to be done.
//   node scripts/setup.mjs              node_modules
//   node scripts/setup.mjs --servers    … and the Debian packages that the system tests drive
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { npm } from './npm.mjs';

const NODE_MIN = [20, 19];
const root = fileURLToPath(new URL('..', import.meta.url));
const stampFile = join(root, 'node_modules', '.fondaco-setup');

/** Debian packages that tests drive, each with a program or library that tells whether it is there, and what is skipped without it. */
const SERVERS = [
  { package: 'iproute2', program: 'ip', for: 'tests that take a network away' },
  { package: 'strace', program: 'strace', for: 'the campaign that cuts the power' },
  { package: 'openssl', program: 'openssl', for: 'the test that holds our certificates against another judge' },
  { package: 'rsyslog', program: 'rsyslogd', for: 'tests of the syslog writer against rsyslog' },
  { package: 'rsyslog-relp', library: 'rsyslog/imrelp.so', for: 'those over RELP' },
  { package: 'rsyslog-openssl', library: 'rsyslog/lmnsd_ossl.so', for: 'those over TLS' },
  { package: 'postgresql', postgres: 'postgres', for: 'tests of the sql writer against PostgreSQL' },
  { package: 'redis-server', program: 'redis-server', for: 'tests of the redis writer' },
];

/** A Debian package that conflicts with one of those: not installed, but unpacked into a folder of ours, with what it needs. */
const UNPACKED = { package: 'syslog-ng-core', program: 'usr/sbin/syslog-ng', for: 'tests of the syslog writer against syslog-ng' };
const unpackedFolder = join(root, '.servers', 'syslog-ng');

checkNode();
installModules();
if (process.argv.includes('--servers')) {
  installServers();
  unpackServer();
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1])) return;
  fail(
    `Fondaco needs Node ${NODE_MIN.join('.')} or newer, got ${process.versions.node}. Install one from nodejs.org or with your version manager.`,
  );
}

function installModules() {
  const lock = readFileSync(join(root, 'package-lock.json'));
  // The platform belongs to the stamp: a node_modules carried into a container holds the wrong native parts.
  const stamp = `${createHash('sha256').update(lock).digest('hex')} ${process.platform}-${process.arch}\n`;
  const stamped = existsSync(stampFile) ? readFileSync(stampFile, 'utf8') : undefined;
  if (stamped === stamp) return;
  if (stamped === undefined && matchesLock(JSON.parse(lock.toString()))) return void writeFileSync(stampFile, stamp);

  const started = Date.now();
  process.stdout.write('setup: installing the packages of package-lock.json (npm ci) …');
  const { command, args } = npm(['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error']);
  const done = spawnSync(command, args, { cwd: root, encoding: 'utf8', shell: process.platform === 'win32' && command === 'npm' });
  process.stdout.write(done.status === 0 ? ` done in ${Math.ceil((Date.now() - started) / 1000)} s\n` : ' failed\n');
  if (done.status !== 0) fail(`npm ci failed: ${done.error ? done.error.message : `${done.stdout}${done.stderr}`.trim()}`);
  writeFileSync(stampFile, stamp);
}

/** Whether a node_modules without our stamp (somebody ran npm by hand) holds exactly what the lock asks for; then it is left alone. */
function matchesLock(lock) {
  const hidden = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(hidden)) return false;
  const installed = JSON.parse(readFileSync(hidden, 'utf8')).packages;
  const wanted = Object.entries(lock.packages).filter(([path]) => path !== '');
  const isThere = ([path, entry]) =>
    installed[path] === undefined ? entry.optional === true : installed[path].version === entry.version && existsSync(join(root, path));
  return wanted.every(isThere) && Object.keys(installed).every((path) => lock.packages[path] !== undefined);
}

function installServers() {
  const missing = SERVERS.filter((server) => !isInstalled(server));
  if (missing.length === 0) return;
  const packages = missing.map((server) => server.package);
  const skipped = missing.map((server) => `${server.package} (for ${server.for})`).join(', ');
  if (!isOnPath('apt-get')) return say(`not installed, tests that need it are skipped: ${skipped}. Install it with your package manager.`);
  if (process.getuid?.() !== 0)
    return say(`not root, tests that need it are skipped: ${skipped}. As root: apt-get install ${packages.join(' ')}`);

  say(`installing ${packages.join(', ')} (apt-get) …`);
  try {
    aptGet('update', '-qq');
    withoutDaemons(() => withoutCluster(() => aptGet('install', '-qq', '-y', '--no-install-recommends', ...packages)));
  } catch (error) {
    say(`apt-get failed, tests that need it are skipped: ${skipped}.\n${String(error.stderr ?? error.message).trim()}`);
  }
}

/** Downloads what apt would install, and unpacks it; the machine itself stays as it is. */
function unpackServer() {
  if (existsSync(join(unpackedFolder, UNPACKED.program))) return;
  const skipped = `${UNPACKED.package} (for ${UNPACKED.for})`;
  if (!isOnPath('apt-get') || !isOnPath('dpkg-deb')) return say(`needs Debian's apt-get, tests that need it are skipped: ${skipped}`);
  if (process.getuid?.() !== 0) return say(`not root, tests that need it are skipped: ${skipped}`);

  say(`unpacking ${UNPACKED.package} into .servers (apt-get) …`);
  const downloads = `${unpackedFolder}.debs`;
  const unfinished = `${unpackedFolder}.unfinished`;
  try {
    for (const folder of [downloads, unfinished]) rmSync(folder, { recursive: true, force: true });
    mkdirSync(join(downloads, 'partial'), { recursive: true });
    aptGet('update', '-qq');
    aptGet(
      'install',
      '-qq',
      '-y',
      '--no-install-recommends',
      '--download-only',
      '-o',
      `Dir::Cache::archives=${downloads}`,
      UNPACKED.package,
    );
    const packages = readdirSync(downloads).filter((name) => name.endsWith('.deb'));
    for (const name of packages) execFileSync('dpkg-deb', ['-x', join(downloads, name), unfinished], { stdio: 'pipe' });
    renameSync(unfinished, unpackedFolder);
  } catch (error) {
    say(`apt-get failed, tests that need it are skipped: ${skipped}.\n${String(error.stderr ?? error.message).trim()}`);
  } finally {
    for (const folder of [downloads, unfinished]) rmSync(folder, { recursive: true, force: true });
  }
}

function isInstalled({ program, library, postgres }) {
  if (postgres !== undefined) return isOfPostgres(postgres);
  return program === undefined ? isLibrary(library) : isOnPath(program);
}

/** Debian makes a database for everybody when PostgreSQL is installed: the tests make their own. */
function withoutCluster(install) {
  const folder = '/etc/postgresql-common/createcluster.d';
  const file = join(folder, 'fondaco-tests.conf');
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, 'create_main_cluster = false\n');
  try {
    install();
  } finally {
    rmSync(file, { force: true });
  }
}

/** What apt installs meanwhile is not started: the tests run servers of their own. */
function withoutDaemons(install) {
  const policy = '/usr/sbin/policy-rc.d';
  if (existsSync(policy)) return install();
  writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    install();
  } finally {
    rmSync(policy, { force: true });
  }
}

/** A lock that somebody else holds is waited for. */
function aptGet(...args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  execFileSync('apt-get', ['-o', 'DPkg::Lock::Timeout=120', ...args], { env, stdio: 'pipe' });
}

function isOnPath(program) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'].filter((folder) => folder !== '');
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Where Debian has it: /usr/lib/<architecture>-linux-gnu/<path>. */
function isLibrary(path) {
  const folders = existsSync('/usr/lib') ? readdirSync('/usr/lib').filter((name) => name.endsWith('-linux-gnu')) : [];
  return folders.some((folder) => existsSync(join('/usr/lib', folder, path)));
}

/** Where Debian has it: /usr/lib/postgresql/<version>/bin/<program>. */
function isOfPostgres(program) {
  const home = '/usr/lib/postgresql';
  return existsSync(home) && readdirSync(home).some((version) => existsSync(join(home, version, 'bin', program)));
}

function say(text) {
  console.log(`setup: ${text}`);
}

function fail(text) {
  console.error(`setup: ${text}`);
  process.exit(1);
}
