import { readFileSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { assert } from 'chai';
import { readRecord } from '../../demo/event-record.ts';
import { Child, type Run } from '../support/processes.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { until } from '../support/until.ts';

const DEMO = fileURLToPath(new URL('../../demo/demo.ts', import.meta.url));

const CLAIMS = [
  'all 60 arrived',
  'in the order in which they were recorded',
  'every event is accounted for: 360 = 60 settled + 300 spooled',
  'all 300 that waited arrived',
  'the critical one came first, before 199 older ones',
  'the others in the order in which they were recorded',
  'it folded into one event with an exact count: 1 + 4,999 = 5,000',
  'agent: 5,360 recorded = 5,360 settled',
  'proxy: 5,360 accepted + 1 made = 362 delivered + 4,999 folded, nothing pending, dead, dropped or lost',
  'subscriber: its 362 events count for 5,360',
  'no gap in the numbers of the deliveries',
  'no loss was announced',
];

/** What README shows of a run: its first block that begins with step 1. */
function stillOfReadme(): string {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const [, block = ''] = /^( {4}1\. Events flow.*?\n)(?! {4}|\n)/ms.exec(readme) ?? [];
  return block.replaceAll(/^ {4}/gm, '');
}

/** Its lines that are not empty, without times, process ids and what differs with them. */
function timeless(text: string): string[] {
  const same = text
    .replaceAll(/\d\d:\d\d:\d\d\.\d{3}/g, 'TIME')
    .replaceAll(/(pid|kill -9) \d+/g, '$1 PID')
    .replaceAll(/\d+ s\.$/gm, 'N s.');
  return same.split('\n').filter((line) => line.trim() !== '');
}

describe('npm run demo', function () {
  this.timeout(150_000);

  let temp: { path: string; remove: () => Promise<void> };

  beforeEach(async () => {
    temp = await tempDirectory();
  });

  afterEach(() => temp.remove());

  function run(...args: string[]): Promise<Run> {
    return Child.script(DEMO, args, { TMPDIR: temp.path }).ended;
  }

  it('tells the story and ends by itself with exit 0, every claim held, nothing left behind', async () => {
    const { code, stdout, stderr } = await run();
    assert.equal(code, 0, stdout + stderr);
    assert.deepEqual(
      [...stdout.matchAll(/^ {3}✓ (.*)$/gm)].map(([, claim]) => claim),
      CLAIMS,
    );
    const shown = timeless(stillOfReadme());
    const printed = timeless(stdout);
    assert.isAbove(shown.length, 15);
    let at = -1;
    for (const line of shown) {
      at = printed.indexOf(line, at + 1);
      assert.isAtLeast(at, 0, `README shows "${line}", which it does not print there`);
    }
    assert.match(stdout, /300 events wait in the agent's spool/);
    assert.match(stdout, /Every claim holds\. \d+ s\.\n$/);
    assert.equal(stderr, '');
    assert.deepEqual(await folders(), []);
  });

  it('fails with exit 1 and names the claims when the subscriber loses one event', async () => {
    const { code, stdout } = await run('--quick', '--lose', '100');
    assert.equal(code, 1, stdout);
    const verdict = stdout.slice(stdout.indexOf('DOES NOT HOLD'));
    assert.match(verdict, /✗ all 300 that waited arrived: 1 of 300 are missing, the first is \S+-99$/m);
    assert.match(verdict, /✗ subscriber: its 361 events count for 5,360: they add up to 5359, not 5360/);
    assert.match(verdict, /✗ no gap in the numbers of the deliveries: /);
    assert.notInclude(stdout, 'Every claim holds');
    const kept = /are in (\S+)$/m.exec(stdout)?.[1] ?? '';
    assert.isTrue(kept.startsWith(temp.path), 'the evidence is kept, and named');
    assert.lengthOf(await readRecord(`${kept}/received.ndjson`), 361);
    await rm(kept, { recursive: true });
  });

  it('fails with exit 1 when it takes too long', async () => {
    const { code, stdout } = await run('--quick', '--limit', '1');
    assert.equal(code, 1, stdout);
    assert.match(stdout, /DOES NOT HOLD, after \d+ s:\n {2}✗ it must end within 1 s\n$/);
  });

  it('ends on SIGINT with 130, leaving nothing behind', async () => {
    const child = Child.script(DEMO, ['--quick'], { TMPDIR: temp.path });
    await until('it has begun', () => child.stdout.includes('1. Events flow'), 30_000);
    const { code } = await child.kill('SIGINT');
    assert.equal(code, 130);
    assert.deepEqual(await folders(), []);
  });

  async function folders(): Promise<string[]> {
    return (await readdir(temp.path)).filter((name) => name.startsWith('fondaco-demo-'));
  }
});
