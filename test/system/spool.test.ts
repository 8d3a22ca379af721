import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { assert } from 'chai';
import { fondaco, type Ran } from '../support/fondaco.ts';
import { RecorderKit } from '../support/recorder-kit.ts';
import { until } from '../support/until.ts';

const AGENT = fileURLToPath(new URL('../support/recorder-agent.ts', import.meta.url));
const kit = new RecorderKit();

describe('fondaco spool', function () {
  this.timeout(60_000);
  beforeEach(() => kit.start());
  afterEach(() => kit.end());

  const run = (...args: string[]): Promise<Ran> =>
    fondaco(['spool', ...args], { cwd: kit.directory, env: { FONDACO_SPOOL_DIR: kit.directory } });
  const files = (): string[] => readdirSync(kit.directory, { recursive: true }).map(String).sort();
  /** A stopped life with an urgent and `count` normal events, on disk in several commits. */
  const leave = async (component: string, count: number): Promise<string> => {
    const recorder = await kit.open(await kit.nobody(), { component });
    recorder.event('a.Urgent', 'critical', 'fire\nand "more" ☃', {
      object: { kind: 'Disk', name: 'sda1', uri: '/x' },
      attributes: { n: 1.5, list: [1, null] },
      dedupKey: 'key',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      time: '2026-11-22T08:00:00.123456789Z',
      source: { node: 'elsewhere' },
    });
    for (let n = 1; n <= count; n++) {
      recorder.event('a.Normal', 'info', `m${n} ${'x'.repeat(300)}`, { time: '2026-11-22T09:00:00Z' });
      if (n % 25 === 0) await recorder.flush();
    }
    await recorder.close();
    return readdirSync(join(kit.directory, encodeURIComponent(component))).find((name) => /^[0-9a-f]/.test(name))!;
  };

  it('lists lives with what waits in them, and who has one open, and changes nothing', async () => {
    const life = await leave('a b', 20);
    const running = await kit.open(await kit.nobody(), { component: 'alive' });
    running.event('a.B', 'info', 'm');
    await running.flush();
    const before = files();
    const { code, stdout } = await run('list', '--json');
    assert.strictEqual(code, 0);
    const { lives } = JSON.parse(stdout) as { lives: Record<string, unknown>[] };
    const [first, second] = lives;
    assert.deepInclude(first, { component: 'a b', life, waiting: { urgent: 1, normal: 20 }, oldest: '2026-11-22T08:00:00.123456789Z' });
    assert.isAbove(first!.bytes as number, 500);
    assert.include(second!.inUse, `recorder alive, process ${process.pid}`);
    const { stdout: screen } = await run();
    assert.match(screen, new RegExp(`a b +${life} +none +1 +20 `));
    assert.match(screen, /alive .* recorder alive, process \d+ +- +- /);
    assert.deepEqual(files(), before, 'nothing is left behind');
    await running.flush();
  });

  it('says that nothing waits, and refuses a directory that is none', async () => {
    assert.include((await run('list')).stdout, 'nothing waits in');
    const { code, stderr } = await run('list', join(kit.directory, 'no-such'));
    assert.strictEqual(code, 66);
    assert.match(stderr, /there is no directory .*no-such: fondaco spool list shows what there is/);
    assert.strictEqual((await run('check', '0199e0c4-4f3a-7cc1-9d0e-5a1f0c2b7e11')).code, 64);
    const never = await fondaco(['spool'], { cwd: kit.directory, env: { FONDACO_SPOOL_DIR: join(kit.directory, 'never') } });
    assert.strictEqual(never.code, 0, never.stderr);
    assert.match(never.stdout, /^nothing waits in .*never \(which is made when something has to\)\n$/);
  });

  it('refuses a life whose owner is alive, naming it', async () => {
    const running = await kit.open(await kit.nobody());
    running.event('a.B', 'info', 'm');
    await running.flush();
    const [life] = readdirSync(join(kit.directory, 'cmd'));
    for (const verb of ['check', 'export']) {
      const { code, stderr } = await run(verb, life!);
      assert.strictEqual(code, 69);
      assert.include(stderr, `it is held by recorder cmd, process ${process.pid}`);
    }
    assert.match((await run('check')).stderr, /it is held by recorder cmd/);
  });

  it('checks every event, names what is damaged, and leaves it as it is', async () => {
    const life = await leave('cmd', 300);
    const whole = await run('check', life);
    assert.strictEqual(whole.code, 0);
    assert.match(whole.stdout, /: whole, 1 urgent and 300 normal events wait/);
    const directory = join(kit.directory, 'cmd', life, 'db');
    const log = join(
      directory,
      readdirSync(directory).find((name) => name.endsWith('.log'))!,
    );
    const bytes = readFileSync(log);
    bytes[Math.floor(bytes.length * 0.5)]! ^= 1;
    writeFileSync(log, bytes);
    const { code, stdout } = await run('check', life);
    assert.strictEqual(code, 1);
    assert.match(stdout, /DAMAGED/);
    assert.isTrue(readFileSync(log).equals(bytes));
    const { isWhole, lives } = JSON.parse((await run('check', '--json')).stdout) as { isWhole: boolean; lives: { damages: object[] }[] };
    assert.isFalse(isWhole);
    assert.isAbove(lives[0]!.damages.length, 0);
  });

  it('exports what waits in a form that record takes, with every field as it was', async () => {
    const life = await leave('cmd', 150);
    const out = join(kit.directory, 'out.ndjson');
    const { code, stderr } = await run('export', life, '--out', out);
    assert.strictEqual(code, 0);
    assert.match(stderr, /exported 151 events to .*; still in the spool/);
    assert.strictEqual((await run('export', life, '--out', out)).code, 64, 'nothing is overwritten');
    assert.strictEqual((await run('export', 'cmd')).stdout, readFileSync(out, 'utf8'), 'by its component');

    const proxy = await kit.proxy();
    const recorded = await fondaco(['record', '--file', out, '--proxy', proxy.address, '--no-spool', '--json'], { cwd: kit.directory });
    assert.strictEqual(recorded.code, 0, recorded.stderr);
    const again = proxy.model.stored.splice(0);
    const later = await kit.open(proxy);
    await until('the spool has drained', () => later.status().older.lives === 0);
    assert.deepEqual(
      again.map(({ bytes }) => bytes.toString('hex')),
      proxy.model.stored.map(({ bytes }) => bytes.toString('hex')),
      'to the byte',
    );
  });

  it('exports what an exit file holds, too', async () => {
    const { address } = await kit.nobody();
    const script = JSON.stringify({ proxy: address, directory: kit.directory, events: 5, then: 'exit' });
    spawnSync(process.execPath, ['--import', 'tsx', AGENT, script]);
    const [life] = readdirSync(join(kit.directory, 'agent'));
    assert.deepEqual(readdirSync(join(kit.directory, 'agent', life!)), ['exit']);
    const { stdout } = await run('export', join(kit.directory, 'agent', life!));
    const messages = stdout.trimEnd().split('\n').map((line) => (JSON.parse(line) as { message: string }).message); // prettier-ignore
    assert.deepEqual(messages, ['a1', 'a2', 'a3', 'a4', 'a5']);
    assert.match((await run('list')).stdout, / 0 +5 /);
  });
});
