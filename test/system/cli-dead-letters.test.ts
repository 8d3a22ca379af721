import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from 'chai';
import { CliScene } from '../support/cli-scene.ts';

describe('command line: dead-letter, writer', function () {
  this.timeout(60_000);
  let scene: CliScene;

  beforeEach(async () => {
    scene = await CliScene.open();
    scene.subscriber.answer = ({ body }) => (body.includes('"disk.Full"') ? { status: 422, body: 'not \u001b[2J here' } : { status: 200 });
    await scene.startProxy();
  });
  afterEach(async () => scene.end());

  /** Records events that their destination will not have, and waits until they are dead. */
  const kill = async (messages: readonly string[]): Promise<void> => {
    await scene.run(['record'], messages.map((message) => JSON.stringify({ type: 'disk.Full', severity: 'warn', message })).join('\n'));
    await scene.runUntil(['status'], ({ stdout }) => new RegExp(`^ops +delivering +0 +0 +- +${messages.length} `, 'm').test(stdout));
  };
  const ids = async (): Promise<string[]> => {
    const { stdout } = await scene.run(['dead-letters', '--json']);
    return (JSON.parse(stdout) as { deadLetters: { id: string }[] }).deadLetters.map(({ id }) => id);
  };

  it('lists in pages and shows one, harmless for a terminal', async () => {
    await kill(['one', 'two', 'three']);
    const all = await scene.run(['dead-letter', 'list', 'ops']);
    assert.equal(all.code, 0);
    assert.lengthOf(all.stdout.trimEnd().split('\n'), 4);
    assert.include(all.stdout, '422: not ');
    const page = await scene.run(['dead-letter', 'list', '--limit', '2']);
    const [, after = ''] = /--after (\S+)/.exec(page.stderr) ?? [];
    const next = await scene.run(['dead-letter', 'list', '--after', after]);
    assert.lengthOf(next.stdout.trimEnd().split('\n'), 2);
    const [first = ''] = await ids();
    const shown = await scene.run(['dead-letter', 'show', first]);
    assert.match(shown.stdout, /^disk\.Full {2}WARN\none\n/);
    assert.include(shown.stdout, 'answer      not ');
    assert.include(shown.stdout, `fondaco dead-letter replay ${first}`);
    assert.propertyVal(JSON.parse((await scene.run(['dead-letter', 'show', first, '--json'])).stdout), 'id', first);
    const exported = await scene.run(['dead-letter', 'export', 'ops', '--filter', '{ severity: warn }', '--out', 'dead.ndjson']);
    assert.equal(exported.stderr, 'exported 3 dead letters to dead.ndjson, 0 cannot be read\n');
    const lines = readFileSync(join(scene.folder, 'dead.ndjson'), 'utf8').trimEnd().split('\n');
    const letters = lines.map((line) => JSON.parse(line) as { id: string; status: string; event: { message: string } });
    assert.deepEqual(
      letters.map(({ id, status, event }) => [id, status, event.message]),
      [
        [first, '422', 'one'],
        ['ops/normal/2', '422', 'two'],
        ['ops/normal/3', '422', 'three'],
      ],
    );
  });

  it('replays some or all, and exits 1 as long as some die again', async () => {
    await kill(['one', 'two', 'three']);
    const again = await scene.run(['dead-letter', 'replay', '--all']);
    assert.equal(again.code, 1, again.stderr);
    assert.equal(again.stdout, 'replay of 3 dead letters of ops: done, 0 delivered, 3 died again\n');
    scene.subscriber.answer = () => ({ status: 200 });
    const [first = ''] = await ids();
    const one = await scene.run(['dead-letter', 'replay', first, 'ops/normal/999', '--json']);
    assert.equal(one.code, 0, one.stderr);
    assert.include(one.stderr, 'there is no dead letter ops/normal/999');
    assert.deepNestedInclude(JSON.parse(one.stdout) as object, { 'replays[0].delivered': 1, 'replays[0].state': 'done' });
    const rest = await scene.run(['dead-letter', 'replay', 'ops', '--filter', '{ types: [disk.*] }']);
    assert.equal(rest.stdout, 'replay of 2 dead letters of ops: done, 2 delivered, 0 died again\n');
    assert.equal((await scene.run(['dead-letter', 'replay', '--all'])).stdout, 'no dead letters\n');
    assert.equal((await scene.run(['ledger', 'verify'])).code, 0);
    const taken = scene.subscriber.requests.filter(({ status }) => status === 200).map(({ body }) => `${body.toString()}\n`);
    const whole = await scene.run(['audit', '--json'], taken.join(''));
    assert.equal(whole.code, 0, whole.stderr + whole.stdout);
    assert.deepNestedInclude(JSON.parse(whole.stdout) as object, { isComplete: true, isJudgedByProxy: true, 'lanes[1].explained': 6 });
    const cut = await scene.run(['audit'], `${taken.slice(0, -1).join('')}{}\n`);
    assert.equal(cut.code, 1);
    assert.match(cut.stdout, /\nMISSING {7}ops normal \S+ .*\n[^]*\nNOT COMPLETE: /);
    assert.match(cut.stderr, /^stdin:\d+: delivery must say which delivery it is, got nothing\n/);
    await scene.stopProxy();
    scene.write('record.ndjson', taken.join(''));
    assert.equal((await scene.run(['audit', 'record.ndjson', '--data', 'data'])).code, 0);
    assert.equal((await scene.run(['audit', 'none.ndjson', '--no-proxy'])).code, 66);
    assert.equal((await scene.run(['audit', '--no-proxy'], 'nothing\n')).code, 65);
  });

  it('says that a replay waits for its destination, and leaves it to the proxy when nobody waits', async () => {
    await kill(['one']);
    scene.subscriber.answer = () => ({ status: 503, body: 'later' });
    const waiting = scene.start(['dead-letter', 'replay', '--all']);
    await waiting.until(({ stderr }) => (stderr.includes('ops takes nothing at the moment, waiting: ') ? true : undefined));
    waiting.child.kill('SIGINT');
    await waiting.ended;
    const list = await scene.run(['dead-letter', 'list']);
    assert.match(list.stdout, /\nreplay of 1 dead letter of ops: (waiting|running), 0 delivered, 0 died again/);
    const second = await scene.run(['dead-letter', 'replay', '--all', '--detach']);
    assert.equal(second.code, 69);
    assert.match(second.stderr, /answered 409: /);
    scene.subscriber.answer = () => ({ status: 200 });
    await scene.runUntil(['dead-letter', 'list'], ({ stdout }) => stdout === 'no dead letters\n');
  });

  it('destroys only what was named and meant', async () => {
    await kill(['one', 'two', 'three']);
    const asked = await scene.run(['dead-letter', 'purge', '--all', 'ops']);
    assert.equal(asked.code, 64);
    assert.include(asked.stderr, 'This destroys all 3 dead letters of ops');
    assert.include(asked.stderr, '--yes says that it is meant');
    const [first = ''] = await ids();
    assert.equal((await scene.run(['dead-letter', 'purge', first, '--yes'])).stdout, 'purged 1 dead letter of ops\n');
    assert.lengthOf(await ids(), 2);
    const all = await scene.run(['dead-letter', 'purge', '--all', '--yes', '--json']);
    assert.deepEqual(JSON.parse(all.stdout), { purged: [{ writer: 'ops', purged: 2 }] });
    assert.equal((await scene.run(['dead-letter', 'purge', '--all', '--yes'])).stdout, 'no dead letters\n');
    const { stdout, code } = await scene.runUntil(['status'], (ran) => ran.stdout.includes('dropped 3 (3 purged)'));
    assert.notInclude(stdout, '→', 'what a person gave up needs nobody');
    assert.equal(code, 0, stdout);
  });

  it('exits 64 for what is no dead letter, and says what there is', async () => {
    const wrong: [args: string[], says: string][] = [
      [['dead-letter', 'list', 'opz'], 'there is no writer called "opz", there are ops'],
      [['dead-letter', 'show', 'ops/normal/7'], 'fondaco dead-letter list shows what is there'],
      [['dead-letter', 'show', '../status'], 'an id must be writer/lane/position'],
      [['dead-letter', 'replay'], 'give ids (fondaco dead-letter list shows them), --all or --filter'],
      [['dead-letter', 'replay', 'ops'], '--all ops for all that writer ops has'],
      [['dead-letter', 'replay', '--all', 'opz'], 'there is no "opz", there are ops'],
      [['dead-letter', 'replay', 'ops/normal/7'], 'got none that is there'],
      [['dead-letter', 'purge', 'opz/normal/7', '--yes'], 'there is no writer called "opz"'],
    ];
    for (const [args, says] of wrong) {
      const { code, stderr } = await scene.run(args);
      assert.equal(code, 64, `${args.join(' ')}: ${stderr}`);
      assert.include(stderr, says);
    }
  });

  it('pauses and resumes a writer, which loses nothing', async () => {
    assert.equal((await scene.run(['writer', 'pause', 'ops'])).stdout, 'writer ops is paused, everything is kept for it\n');
    await scene.run(['record', '-t', 'a.B', '-m', 'while paused']);
    const list = await scene.run(['writers']);
    assert.match(list.stdout, /^ops +paused +0 +\d+ +(\S+ s|-) +0 +- +- +http$/m, list.stdout);
    assert.match(list.stdout, /\nops: paused by hand since \d{4}-.*\n {2}→ fondaco writer resume ops\n$/);
    assert.equal((await scene.run(['status'])).code, 1);
    const { stdout } = await scene.run(['writer', 'resume', 'ops', '--json']);
    assert.deepInclude(JSON.parse(stdout) as object, { writer: 'ops', isChanged: true });
    await scene.subscriber.until(({ taken }) => taken.some((body) => body.includes('while paused')));
  });
});
