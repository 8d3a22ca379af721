import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from 'chai';
import { parse, stringify } from 'yaml';
import { effectiveConfig } from '../../cli/config-show.ts';
import { buildConfigSchema } from '../../cli/config-schema.ts';
import { checkConfig, loadConfig, type ProxyConfig } from '../../proxy/config.ts';
import { WRITER_KINDS } from '../../proxy/writer-kinds.ts';
import { tempDirectory } from '../support/temp-directory.ts';

describe('config show', () => {
  let folder: string;
  let remove: () => Promise<void>;

  beforeEach(async () => {
    ({ path: folder, remove } = await tempDirectory());
  });
  afterEach(async () => remove());

  const env = { OPS_TOKEN: 'tell-nobody', HOOK: 'https://hooks.example/tell-nobody', WAIT: '250ms', SITE: 'plant-7' };
  const load = async (text: string): Promise<ProxyConfig> => {
    writeFileSync(join(folder, 'fondaco.yaml'), text);
    return loadConfig(join(folder, 'fondaco.yaml'), { env, cwd: folder });
  };

  it('fills in what is left open, keeps what is written, and masks what may be a secret', async () => {
    writeFileSync(join(folder, 'secret'), 'tell-nobody');
    const config = await load(`
site: "\${SITE}"
writers:
  - name: ops
    kind: http
    url: https://user:tell-nobody@ops.example/events?key=tell-nobody
    headers: { x-token: "Bearer \${OPS_TOKEN}", x-plain: tell-nobody }
    batch: { interval: "\${WAIT}" }
    retry: { policy: dead-letter, attempts: 3 }
  - { name: hook, kind: http, url: "\${HOOK}" }
  - { name: other, kind: http, url: "http://x/\${file:secret}" }
`);
    const shown = await effectiveConfig(config, env);
    assert.notInclude(JSON.stringify(shown), 'tell-nobody');
    assert.deepInclude(shown, {
      site: 'plant-7',
      data: join(folder, 'data'),
      dedup: { interval: '10s', windowsMax: 100_000 },
      lanes: { urgent: { minSeverity: 'critical' } },
    });
    const [ops, hook, other] = shown.writers as Record<string, unknown>[];
    assert.deepInclude(ops, {
      name: 'ops',
      url: 'https://***@ops.example/events?***',
      format: 'cloudevents-batch',
      headers: { 'x-token': '***', 'x-plain': '***' },
      timeout: '30s',
      batch: { interval: '250ms', eventsMax: 500, bytesMax: '1MiB' },
      retry: { policy: 'dead-letter', attempts: 3, initial: '1s', max: '5m' },
      notices: true,
    });
    assert.propertyVal(hook, 'url', '${HOOK}');
    assert.propertyVal(other, 'url', 'http://x/${file:secret}');
  });

  it('shows paths as they will be used, and permissions as they are written', async () => {
    const config = await load(`
data: state
writers:
  - { name: a, kind: file, path: logs/a.ndjson }
  - { name: b, kind: file, path: /var/b.ndjson, mode: '600' }
  - { name: c, kind: http, url: https://c, tls: { ca: c/ca.crt, cert: c/c.crt, key: c/c.key } }
`);
    const shown = await effectiveConfig(config, env);
    assert.propertyVal(shown, 'data', join(folder, 'state'));
    const [a, b, c] = shown.writers as Record<string, unknown>[];
    assert.deepInclude(a, { path: join(folder, 'logs/a.ndjson'), mode: '0640' });
    assert.deepInclude(b, { path: '/var/b.ndjson', mode: '600' });
    const within = (file: string): string => join(folder, 'c', file);
    assert.deepInclude(c, { tls: { ca: within('ca.crt'), cert: within('c.crt'), key: within('c.key') } });
    const again = await load(stringify(shown));
    assert.deepEqual(await effectiveConfig(again, env), shown);
  });

  it('is a config again, which means the same', async () => {
    const config = await load('labels: { region: eu }\nwriters: [{ name: screen, kind: console, filter: { types: [a.*] } }]\n');
    const again = await load(stringify(await effectiveConfig(config, env)));
    assert.deepEqual({ ...again, writers: again.writers.map((writer) => ({ ...writer, settings: {} })) }, config);
  });

  it('shows the built-in default', async () => {
    const checked = await checkConfig(undefined, { env: {}, cwd: folder, hostname: 'host' });
    assert.isTrue('config' in checked);
    if (!('config' in checked)) return;
    const shown = await effectiveConfig(checked.config, {});
    assert.propertyVal(shown, 'site', 'host');
    assert.deepNestedInclude(shown, { 'writers[0].kind': 'console', 'writers[0].batch.interval': '100ms' });
    assert.deepEqual(parse(stringify(shown)), shown);
  });
});

describe('config schema', () => {
  it('has every key with its default, its bounds as examples, and a variable wherever it may stand', async () => {
    const schema = await buildConfigSchema();
    assert.deepNestedInclude(schema, {
      'properties.dedup.properties.interval.default': '10s',
      'properties.dedup.properties.interval.anyOf[0].examples': ['0s', '1d'],
      'properties.dedup.properties.interval.anyOf[1].$ref': '#/$defs/variable',
      'properties.listen.properties.grpc.default': '127.0.0.1:7070',
      additionalProperties: false,
    });
    for (const ours of ['"default":1000,', '"default":416', 'isPath']) assert.notInclude(JSON.stringify(schema), ours);
  });

  it('has an alternative for each kind of writer', async () => {
    const schema = (await buildConfigSchema()) as { properties: { writers: { items: { else: { allOf: object[] } } } } };
    const kinds = schema.properties.writers.items.else.allOf;
    assert.lengthOf(kinds, WRITER_KINDS.length);
    const http = kinds[WRITER_KINDS.indexOf('http')];
    assert.deepNestedInclude(http, {
      'if.properties.kind.const': 'http',
      'then.properties.batch.properties.bytesMax.default': '1MiB',
      'then.properties.timeout.default': '30s',
      'then.required': ['name', 'kind', 'url'],
    });
  });
});
