import { assert } from 'chai';
import { CliScene } from '../support/cli-scene.ts';
import { startProxy } from '../support/fondaco.ts';

describe('command line: event, tail', function () {
  this.timeout(60_000);
  let scene: CliScene;

  beforeEach(async () => {
    scene = await CliScene.open();
  });
  afterEach(async () => scene.end());

  /** Records events of one line each: `type severity message`. */
  const record = async (...lines: string[]): Promise<void> => {
    const events = lines.map((line) => {
      const [type, severity, ...message] = line.split(' ');
      return JSON.stringify({ type, severity, message: message.join(' '), object: { kind: 'Disk', name: 'sda1' } });
    });
    assert.equal((await scene.run(['record'], events.join('\n'))).code, 0);
  };

  it('event list shows pages, newest first, by the filters, and event show all of one', async () => {
    await scene.startProxy();
    await record('disk.Full error one', 'net.Down warn two', 'disk.Lost critical three \u001b[2J', 'disk.Full info four');
    const all = await scene.run(['event', 'list', '--type', '*.*', '--component', 'cli']);
    assert.equal(all.code, 0, all.stderr);
    const messages = all.stdout.split('\n').map((line) => /(one|two|three.*?|four) {2}/.exec(line)?.[1]?.trim());
    assert.deepEqual(new Set(messages.filter(Boolean)), new Set(['four', 'three \\e[2J', 'two', 'one']));
    const disks = await scene.run(['events', '--type', 'disk.*', '--min-severity', 'error', '--since', '1h', '--lane', 'normal']);
    assert.match(disks.stdout, /disk\.Full +Disk\/sda1 +one/);
    assert.notMatch(disks.stdout, /two|three|four/);
    const page = await scene.run(['event', 'list', '--limit', '1', '--lane', 'normal', '--type', 'disk.*']);
    assert.match(page.stdout, /four/);
    const [, cursor = ''] = /--before (\S+)/.exec(page.stderr) ?? [];
    const next = await scene.run(['event', 'list', '--limit', '1', '--lane', 'normal', '--type', 'disk.*', '--before', cursor]);
    assert.match(next.stdout, /one/);
    assert.equal((await scene.run(['event', 'list', '--type', 'none.*'])).stdout, 'no events\n');
    const { events } = JSON.parse(
      (await scene.run(['event', 'list', '--json', '--min-severity', 'critical', '--type', 'disk.*'])).stdout,
    ) as {
      events: { id: string }[];
    };
    assert.lengthOf(events, 1);
    const id = events[0]?.id ?? '';
    const shown = await scene.run(['event', 'show', id]);
    assert.include(shown.stdout, 'disk.Lost  CRITICAL\nthree \\e[2J\n');
    assert.match(shown.stdout, /^journal {5}urgent lane, position \d+, epoch 1, recorded by an agent$/m);
    assert.propertyVal(JSON.parse((await scene.run(['event', 'show', id, '--json'])).stdout), 'id', id);
  });

  it('writer test-filter tells what a filter would have let through', async () => {
    await scene.startProxy(scene.writer('ops', ', filter: { types: [disk.*], object: { name: sda* } }'));
    await record('disk.Full error one', 'net.Down warn two', 'disk.Lost critical three', 'disk.Full info four');
    const ofWriter = await scene.run(['writer', 'test-filter', 'ops']);
    assert.equal(ofWriter.code, 0, ofWriter.stderr);
    assert.match(ofWriter.stdout, /^filter {6}\{"types":\["disk.\*"\],"object":\{"name":\["sda\*"\]\}\}$/m);
    assert.match(ofWriter.stdout, /^looked at {3}4 entries received since .*\nmatches {5}3 deliveries$/m);
    assert.match(ofWriter.stdout, /^type +matches +of\ndisk.Full +2 +2\ndisk.Lost +1 +1\nnet.Down +0 +1$/m);
    assert.match(ofWriter.stdout, /disk\.Full +Disk\/sda1 +four/);
    scene.write('filter.yaml', 'minSeverity: error\nnot: { types: [disk.F*] }\n');
    const { stdout } = await scene.run(['writer', 'test-filter', '--file', 'filter.yaml', '--since', '1h', '--json']);
    const { looked, matched, examples } = JSON.parse(stdout) as Record<'looked' | 'matched', number> & {
      examples: { type: string }[];
    };
    assert.deepEqual([looked, matched, examples.map(({ type }) => type)], [4, 1, ['disk.Lost']]);
    const other = await scene.run(['writer', 'test-filter', 'opps']);
    assert.equal(other.code, 64);
    assert.include(other.stderr, 'there is no writer called "opps", there are ops');
  });

  it('says what is wrong with a question, and exits 64', async () => {
    await scene.startProxy();
    const none = await scene.run(['event', 'show', '0199e0c4-7b1e-7000-8000-000000000001-17']);
    assert.equal(none.code, 64);
    assert.include(none.stderr, 'fondaco event list shows what is there.');
    const cursor = await scene.run(['event', 'list', '--before', 'yesterday']);
    assert.equal(cursor.code, 64);
    assert.include(cursor.stderr, 'before must be a cursor');
    const pattern = await scene.run(['tail', '--type', 'a b']);
    assert.equal(pattern.code, 64);
    assert.include(pattern.stderr, 'type must be');
  });

  it('tail shows the last ones, then what comes, until Ctrl-C', async () => {
    await scene.startProxy();
    await record('disk.Full error one', 'net.Down warn two');
    const tail = scene.start(['tail', '--last', '2', '--type', 'disk.*', '--component', 'cli']);
    await tail.until(({ stdout }) => (stdout.includes('disk.Full  one') ? true : undefined));
    await record('disk.Full warn three', 'net.Down warn four', 'disk.Lost error five');
    await tail.until(({ stdout }) => (stdout.includes('disk.Lost  five') ? true : undefined));
    tail.child.kill('SIGINT');
    const { code, stdout, stderr } = await tail.ended;
    assert.equal(code, 0, stderr);
    assert.equal(stderr, '');
    assert.deepEqual(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.split('  ').filter(Boolean)[3]),
      ['one', 'three', 'five'],
    );
  });

  it('tail goes on behind the last event shown when a proxy comes back, and says so', async () => {
    const { api, grpc } = await scene.startProxy();
    scene.write('fixed.yaml', `listen: { grpc: "${grpc}", http: "${api.slice('http://'.length)}" }\nwriters: []\n`);
    const tail = scene.start(['tail', '--json', '--component', 'cli']);
    const shown = (text: string) => tail.until(({ stdout }) => (stdout.includes(text) ? true : undefined));
    await record('a.B info before-any'); // may or may not be seen: the stream may not be there yet
    for (let i = 0; !tail.out.stdout.includes('seen') && i < 20; i++) await record(`a.B info seen-${i}`);
    await scene.stopProxy();
    await tail.until(({ stderr }) => (stderr.includes('connecting again') ? true : undefined));
    scene.proxy = await startProxy(['--config', 'fixed.yaml'], { cwd: scene.folder });
    await record('a.B info while-away', 'a.B info again');
    await shown('again');
    tail.child.kill('SIGINT');
    const { code, stdout, stderr } = await tail.ended;
    assert.equal(code, 0, stderr);
    assert.match(
      stderr,
      /^fondaco: the stream ended \(.+\), connecting again …\nfondaco: connected again, going on behind the last event shown\n$/,
    );
    const messages = stdout
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { message: string }).message);
    assert.deepEqual(messages.slice(-2), ['while-away', 'again']);
    assert.lengthOf(new Set(messages), messages.length);
  });

  it('tail ends quietly when its reader does', async () => {
    await scene.startProxy();
    const tail = scene.start(['tail', '--type', 'a.*']);
    tail.child.stdout?.destroy();
    let isOver = false;
    void tail.ended.then(() => (isOver = true));
    for (let i = 0; !isOver && i < 20; i++) await record(`a.B info ${i}`);
    const { code, stderr } = await tail.ended;
    assert.equal(code, 0, stderr);
    assert.equal(stderr, '');
  });

  it('tail exits 69 where there is no proxy', async () => {
    const { code, stderr } = await scene.run(['tail', '--api', 'http://127.0.0.1:1']);
    assert.equal(code, 69);
    assert.include(stderr, 'no proxy answers');
  });
});
