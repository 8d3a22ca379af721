import { readFileSync } from 'node:fs';
import { assert } from 'chai';
import { CliScene } from '../support/cli-scene.ts';
import type { Answer, SeenRequest } from '../support/subscriber.ts';

/** What README tells of an evening: each `$ ` line of its console blocks, with what it prints. */
interface Step {
  readonly command: string;
  readonly output: string;
}

describe("README's evening, When something is wrong", function () {
  this.timeout(60_000);

  it('goes as it is told', async () => {
    const scene = await CliScene.open();
    try {
      await scene.startProxy(writerAt(scene, 'ops', 'events') + writerAt(scene, 'archive', 'archive'));
      const steps = readSteps();
      assert.isAbove(steps.length, 6);
      let shown = '';
      for (const { command, output } of steps) {
        await (BEFORE[command] ?? (async () => undefined))(scene);
        // Ids of dead letters are positions, which depend on what the proxy recorded of itself meanwhile.
        const [id = ''] = /ops\/normal\/\d+/.exec(shown) ?? [];
        const [program, ...args] = command.replace(/ops\/normal\/\d+/, id).split(' ');
        assert.equal(program, 'fondaco');
        const { stdout, stderr } = await scene.run(args);
        assert.equal(shape(stdout.trimEnd()), shape(output), `\n$ ${command}\n${stdout}${stderr}`);
        shown = stdout;
      }
    } finally {
      await scene.end();
    }
  });
});

/** What happens before a command is typed, the first time and each time. */
const BEFORE: Readonly<Record<string, (scene: CliScene) => Promise<void>>> = {
  'fondaco status': async (scene) => {
    if (scene.subscriber.requests.length === 0) await tokenExpires(scene);
    // Once it is mended, all there is to send is sent.
    else
      await scene.runUntil(
        ['status'],
        ({ stdout }) => /^ops +delivering +0 +0 /m.test(stdout) && /^archive +delivering +0 +0 /m.test(stdout),
      );
  },
  'fondaco writer resume ops': async (scene) => {
    scene.subscriber.answer = ({ body }) =>
      body.includes('"disk.Full"') ? { status: 422, body: 'no such type: disk.Full' } : { status: 200 };
  },
  'fondaco dead-letter replay --all ops': async (scene) => {
    scene.subscriber.answer = () => ({ status: 200 });
  },
};

function writerAt({ subscriber }: CliScene, name: string, path: string): string {
  const url = new URL(path, subscriber.url).href;
  return `  - { name: ${name}, kind: http, url: "${url}", format: json, batch: { interval: 50ms }, retry: { policy: backoff, initial: 30s, max: 45s } }\n`;
}

async function tokenExpires(scene: CliScene): Promise<void> {
  scene.subscriber.answer = ({ url }: SeenRequest): Answer =>
    url === '/events' ? { status: 401, body: 'token expired' } : { status: 200 };
  const events = [
    'net.LinkDown error eth0 went down',
    'disk.Full warn /var is full',
    'disk.Full warn /tmp is full',
    'net.LinkUp info eth0 is up',
  ];
  const lines = events.map((text) => {
    const [type, severity, ...message] = text.split(' ');
    return JSON.stringify({ type, severity, message: message.join(' '), source: { node: 'n2' }, attributes: { seen: 1 } });
  });
  await scene.run(['record', '--component', 'agent'], lines.join('\n'));
  await scene.runUntil(['status'], ({ stdout }) => /^ops +refused .* s$/m.test(stdout) && /^archive +delivering +0 +0 /m.test(stdout));
}

function readSteps(): Step[] {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const part = /\n## When something is wrong\n(.*?)\n## /s.exec(readme)?.[1] ?? '';
  return [...part.matchAll(/```console\n(.*?)\n```/gs)].flatMap(([, block = '']) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((step) => {
        const [command = '', ...output] = step.trimEnd().split('\n');
        return { command, output: output.join('\n') };
      }),
  );
}

/** Without what differs from run to run: numbers, ids, times, ages, sizes, addresses, and the widths that come of them. */
function shape(text: string): string {
  return text
    .replace(/https?:\/\/[^\s:,]+(:\d+)?[^\s:,]*/g, 'URL')
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}-\d+/g, 'ID')
    .replace(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?/g, 'TIME')
    .replace(/\d[\d,.]* (B|KiB|MiB|GiB)\b/g, 'SIZE')
    .replace(/\d[\d.]* (s|m|h|d)( \d+ (s|m|h))?\b/g, 'AGE')
    .replace(/\d[\d,.]*/g, 'N')
    .replace(/ +/g, ' ');
}
