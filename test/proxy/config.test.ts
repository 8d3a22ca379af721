import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from 'chai';
import { isFondacoError } from '../../core/errors.ts';
import { checkConfig, configuredData, formatProblem, loadConfig, type Problem, type ProxyConfig } from '../../proxy/config.ts';
import { WRITER_KINDS } from '../../proxy/writer-kinds.ts';
import { tempDirectory } from '../support/temp-directory.ts';

describe('proxy config', () => {
  let folder: string;
  let file: string;
  let remove: () => Promise<void>;
  beforeEach(async () => {
    ({ path: folder, remove } = await tempDirectory());
    file = join(folder, 'fondaco.yaml');
  });
  afterEach(async () => remove());

  async function check(text: string, env: Record<string, string> = {}): Promise<readonly Problem[]> {
    writeFileSync(file, text);
    const checked = await checkConfig(file, { env, cwd: folder });
    return 'problems' in checked ? checked.problems : [];
  }

  async function load(text: string, env: Record<string, string> = {}): Promise<ProxyConfig> {
    writeFileSync(file, text);
    return loadConfig(file, { env, cwd: folder, hostname: 'host-1' });
  }

  it('looks for the files of writers beside whatever else is wrong, if it is asked to', async () => {
    mkdirSync(join(folder, 'there'));
    writeFileSync(
      file,
      `
writers:
  - { name: a, kind: file, path: gone/a.ndjson, batch: { interval: 7 } }
  - { name: b, kind: file, path: there/b.ndjson }
  - { name: c, kind: http, url: https://c, auth: { bearer: "\${TOKEN}" }, tls: { ca: gone.crt } }
  - { name: d, kind: file, path: "\${LOGS}/d.ndjson" }
  - { name: e, kind: file, path: there/b.ndjson/e.ndjson }
  - { name: f, kind: nothing }
`,
    );
    writeFileSync(join(folder, 'there', 'b.ndjson'), '');
    const said = async (isProbing: boolean): Promise<string[]> => {
      const checked = await checkConfig(file, { env: {}, cwd: folder }, { isProbing });
      return 'problems' in checked ? checked.problems.map(({ line, message }) => `${line} ${message}`) : [];
    };
    const alone = await said(false);
    assert.lengthOf(alone, 4);
    const probed = await said(true);
    assert.deepEqual(
      probed.filter((text) => !alone.includes(text)),
      [
        `3 writers[0].path must be in a directory that is there, ${join(folder, 'gone')} is not: make it`,
        `5 writers[2].tls.ca must be a readable file of certificates in PEM, ${join(folder, 'gone.crt')}: ENOENT: no such file or directory, open '${join(folder, 'gone.crt')}'`,
        `7 writers[4].path must be in a directory, ${join(folder, 'there/b.ndjson')} is none`,
      ],
    );
    assert.lengthOf(probed, 7);
  });

  const writer = (keys: string): string => `writers:\n  - name: ops\n    kind: http\n    url: http://h/\n    ${keys}\n`;
  const loopback = 'must be on loopback or a unix socket without listen.tls and listen.token, got';
  const fileWriter = (keys: string): string => `writers:\n  - { name: a, kind: file, path: e, ${keys} }`;

  /** What is wrong, where, and what is said. */
  const bad: [text: string, line: number, column: number, message: string][] = [
    [
      'sitee: x',
      1,
      1,
      'sitee is unknown, expected any of site, labels, data, listen, dedup, journal, lanes, heartbeat, catalogs, unknownTypes, inputs, writers',
    ],
    ['subscriptions: []', 1, 1, 'subscriptions comes with a later version'],
    ['site: ""', 1, 7, 'site must be 1 to 256 bytes without control characters, got ""'],
    ['site: [a]', 1, 7, 'site must be 1 to 256 bytes without control characters, got a list'],
    ['site: 7', 1, 7, 'site must be 1 to 256 bytes without control characters, got 7'],
    ['labels:\n  region: eu\n  9x: y', 3, 3, 'labels.9x must be a label name'],
    ['labels:\n  region: 3', 2, 11, 'labels.region must be a text of 1 to 256 bytes without control characters, got 3'],
    ['labels: eu', 1, 9, 'labels must be a map, got "eu"'],
    ['data: ""', 1, 7, 'data must be a directory, got ""'],
    ['listen: 7070', 1, 9, 'listen must be a map, got 7070'],
    ['listen:\n  grpc: 7070', 2, 9, 'listen.grpc must be host:port, [IPv6]:port or unix:/path, got 7070'],
    ['listen: { grpc: "127.0.0.1:70700" }', 1, 17, 'listen.grpc must be host:port, [IPv6]:port or unix:/path, got "127.0.0.1:70700"'],
    ['listen: { http: unix:relative.sock }', 1, 17, 'listen.http must be host:port, [IPv6]:port or unix:/path, got "unix:relative.sock"'],
    ['listen: { grpc: 0.0.0.0:7070 }', 1, 17, `listen.grpc ${loopback} "0.0.0.0:7070"`],
    ['listen:\n  http: "[::]:7071"', 2, 9, `listen.http ${loopback} "[::]:7071"`],
    ['listen: { grpc: proxy.example:7070, insecure: false }', 1, 17, `listen.grpc ${loopback} "proxy.example:7070"`],
    ['listen: { insecure: yes }', 1, 21, 'listen.insecure must be true or false, got "yes"'],
    ['listen: { reuse: true }', 1, 11, 'listen.reuse is unknown, expected any of grpc, http, tls, token, sites, insecure'],
    ['listen: { grpc: 127.0.0.1:7000, http: 127.0.0.1:7000 }', 1, 39, 'listen.http must be another address than listen.grpc'],
    ['dedup: { interval: 10 }', 1, 20, 'dedup.interval must be a duration from 0s to 1d, got 10'],
    ['dedup: { interval: 2d }', 1, 20, 'dedup.interval must be a duration from 0s to 1d, got "2d"'],
    ['dedup: { windowsMax: many }', 1, 22, 'dedup.windowsMax must be a whole number from 1 to 10000000, got "many"'],
    ['dedup: { windowsMax: 1.5 }', 1, 22, 'dedup.windowsMax must be a whole number from 1 to 10000000, got 1.5'],
    [
      'lanes:\n  urgent:\n    minSeverity: fatal',
      3,
      18,
      'lanes.urgent.minSeverity must be one of debug, info, warn, error, critical, got "fatal"',
    ],
    ['lanes: { express: {} }', 1, 10, 'lanes.express is unknown, expected any of urgent'],
    [
      'subscriptions: [x]',
      1,
      1,
      'subscriptions comes with a later version, this one knows site, labels, data, listen, dedup, journal, lanes, heartbeat, catalogs, unknownTypes, inputs, writers',
    ],
    ['lanes:\ndedup: {}', 1, 1, 'lanes must be a map, got nothing'],
    [writer('batch: { bytesMax: 4 }'), 5, 24, 'writers[0].batch.bytesMax must be a size from 1KiB to 64MiB, got 4'],
    [writer('batch: { bytesMax: 4gb }'), 5, 24, 'writers[0].batch.bytesMax must be a size from 1KiB to 64MiB, got "4gb"'],
    ['inputs: [{ kind: http }]', 1, 9, 'inputs must be an empty list'],
    ['writers: ops', 1, 10, 'writers must be a list, got "ops"'],
    ['writers: [ops]', 1, 11, 'writers[0] must be a map, got "ops"'],
    ['writers:\n  - kind: console', 2, 5, 'writers[0].name must be 1 to 63 of a-z, 0-9 and -, got nothing'],
    ['writers:\n  - { name: Ops, kind: console }', 2, 13, 'writers[0].name must be 1 to 63 of a-z, 0-9 and -, got "Ops"'],
    ['writers:\n  - name: a', 2, 5, `writers[0].kind must be one of ${WRITER_KINDS.join(', ')}, got nothing`],
    ['writers:\n  - { name: a, kind: pigeon, seeds: 3 }', 2, 22, `writers[0].kind must be one of ${WRITER_KINDS.join(', ')}, got "pigeon"`],
    ['writers:\n  - { name: a, kind: console, format: pretty }', 2, 39, 'writers[0].format must be one of auto, text, json, got "pretty"'],
    ['writers:\n  - { name: a, kind: console, url: "http://h/" }', 2, 31, 'writers[0].url is unknown, expected any of name, kind,'],
    [
      'writers:\n  - { name: a, kind: console }\n  - { name: a, kind: console }',
      3,
      13,
      'writers[1].name must be another than that of writers[0], got "a" twice',
    ],
    ['writers:\n  - { name: a, kind: http }', 2, 5, 'writers[0].url must be an http:// or https:// URL, got nothing'],
    ['writers:\n  - { name: a, kind: http, url: ftp://h/ }', 2, 33, 'writers[0].url must be an http:// or https:// URL, got "ftp://h/"'],
    [
      writer('format: xml'),
      5,
      13,
      'writers[0].format must be one of cloudevents-batch, cloudevents, cloudevents-binary, json, ndjson, redfish, got "xml"',
    ],
    [
      writer('auth: { bearer: "a b" }'),
      5,
      21,
      'writers[0].auth.bearer must be a token of printable characters without spaces, got a value that is not shown',
    ],
    [writer('auth: {}'), 5, 11, 'writers[0].auth must have one of bearer, basic'],
    [writer('auth: { bearer: a, basic: { user: u, password: p } }'), 5, 11, 'writers[0].auth must have one of bearer, basic'],
    [
      writer('auth: { basic: { user: "a:b", password: p } }'),
      5,
      28,
      'writers[0].auth.basic.user must be a user name without a colon, got "a:b"',
    ],
    [writer('auth: { basic: { user: a } }'), 5, 20, 'writers[0].auth.basic.password must be a password on one line, got nothing'],
    [writer('auth: { digest: { user: a } }'), 5, 13, 'writers[0].auth.digest is unknown, expected any of bearer, basic'],
    [
      writer('headers: { Authorization: x }\n    auth: { bearer: a }'),
      6,
      11,
      'writers[0].auth must not stand beside an authorization header',
    ],
    [writer('auth: { bearer: a }').replace('//h', '//u:p@h'), 5, 11, 'writers[0].auth must not stand beside a user and password in url'],
    [writer('headers: { authorization: x }').replace('//h', '//u:p@h'), 4, 10, 'writers[0].url must have no user and password beside'],
    [writer('format: json').replace('//h', '//u:50%@h'), 4, 10, 'writers[0].url must be an http:// or https:// URL, got "http://…@h/"'],
    [writer('tls: { ca: a.pem }'), 5, 10, 'writers[0].tls must have an https:// url beside it'],
    [writer('tls: { cert: a.pem }').replace('http:', 'https:'), 5, 18, 'writers[0].tls.cert must have its key beside it, in tls.key'],
    [
      writer('tls: { key: a.key }').replace('http:', 'https:'),
      5,
      17,
      'writers[0].tls.key must have its certificate beside it, in tls.cert',
    ],
    [writer('tls: { insecure: true }'), 5, 12, 'writers[0].tls.insecure is unknown, expected any of ca, cert, key, serverName'],
    [writer('tls: { serverName: "a b" }'), 5, 24, 'writers[0].tls.serverName must be a host name, got "a b"'],
    [writer('timeout: 1s\n    connectTimeout: 2s'), 6, 21, 'writers[0].connectTimeout must be at most timeout'],
    [writer('timeout: 1s\n    headersTimeout: 2s'), 6, 21, 'writers[0].headersTimeout must be at most timeout'],
    [
      writer('format: cloudevents\n    batch: { eventsMax: 5 }'),
      6,
      25,
      'writers[0].batch.eventsMax must be at most 1 with these settings, got 5',
    ],
    [writer('headers: { Host: h }'), 5, 16, 'writers[0].headers.Host must be a header name that is not one of ours, got "Host"'],
    ['writers:\n  - { name: a, kind: file }', 2, 5, 'writers[0].path must be the path of a file, got nothing'],
    [fileWriter('mode: 0640'), 2, 43, "writers[0].mode must be file permissions in quotes, such as '0640', got 0640"],
    [fileWriter('rotate: { bytesMax: 1MiB }'), 2, 45, 'writers[0].rotate.keep must be a whole number from 1 to 10000, got nothing'],
    [fileWriter('rotate: { keep: 3 }'), 2, 45, 'writers[0].rotate must have bytesMax, interval or both'],
    [fileWriter('rotate: { bytesMax: 1B, keep: 3 }'), 2, 57, 'writers[0].rotate.bytesMax must be a size from 1KiB to 1TiB, got "1B"'],
    [fileWriter('rotate: { gzip: true, bytesMax: 1MiB, keep: 3 }'), 2, 47, 'writers[0].rotate.gzip comes with a later version'],
    [
      `${fileWriter('mode: "0600"')}\n  - { name: b, kind: file, path: ./sub/../e.1 }`,
      3,
      34,
      'writers[1].path must be another than that of writers[0], both are',
    ],
    [writer('timeout: 30'), 5, 14, 'writers[0].timeout must be a duration from 100ms to 10m, got 30'],
    [
      writer('secret: sekrit'),
      5,
      13,
      'writers[0].secret must be whsec_ and the base64 of 24 to 64 bytes, or a list of two such secrets, got a value that is not shown',
    ],
    [
      writer('secret: [whsec_x]'),
      5,
      13,
      'writers[0].secret must be whsec_ and the base64 of 24 to 64 bytes, or a list of two such secrets',
    ],
    [writer('secrets: [a]'), 5, 5, 'writers[0].secrets is unknown, expected any of'],
    [writer('headers: { ce-id: x }'), 5, 16, 'writers[0].headers.ce-id must be a header name that is not one of ours, got "ce-id"'],
    [
      writer('headers: { Webhook-Signature: x }'),
      5,
      16,
      'writers[0].headers.Webhook-Signature must be a header name that is not one of ours',
    ],
    [writer('compression: br'), 5, 18, 'writers[0].compression must be one of none, gzip, got "br"'],
    [writer('concurrency: 65'), 5, 18, 'writers[0].concurrency must be a whole number from 1 to 64, got 65'],
    [
      writer('concurrency: 2'),
      5,
      18,
      'writers[0].concurrency must stand beside format cloudevents or cloudevents-binary, the others send a batch',
    ],
    [writer('redfish: { context: rack }'), 5, 14, 'writers[0].redfish must stand beside format redfish only'],
    [
      writer('format: redfish\n    redfish: { registry: Fondaco }'),
      6,
      26,
      'writers[0].redfish.registry must be a message registry with its version, such as Fondaco.1.0, got "Fondaco"',
    ],
    [writer('limit: { eventsPerSecond: 0 }'), 5, 31, 'writers[0].limit.eventsPerSecond must be a whole number from 1 to 1000000, got 0'],
    [writer('limit: { bytesPerSecond: 100 }'), 5, 30, 'writers[0].limit.bytesPerSecond must be a size from 1KiB to 1GiB, got 100'],
    [
      writer('limit: { eventsPerSecond: 10 }\n    batch: { eventsMax: 20 }'),
      6,
      25,
      'writers[0].batch.eventsMax must be at most 10 with these settings, got 20',
    ],
    [writer('batch: { interval: 1 fortnight }'), 5, 24, 'writers[0].batch.interval must be a duration from 0ms to 1h, got "1 fortnight"'],
    [writer('batch: { eventsMax: 0 }'), 5, 25, 'writers[0].batch.eventsMax must be a whole number from 1 to 10000, got 0'],
    [writer('batch: { bytesMax: 1MiBB }'), 5, 24, 'writers[0].batch.bytesMax must be a size from 1KiB to 64MiB, got "1MiBB"'],
    [
      writer('retry: { initial: 1s }'),
      5,
      12,
      'writers[0].retry.policy must be one of backoff, constant, suspend, dead-letter, got nothing',
    ],
    [
      writer('retry: { policy: never }'),
      5,
      22,
      'writers[0].retry.policy must be one of backoff, constant, suspend, dead-letter, got "never"',
    ],
    [writer('retry: { policy: constant }'), 5, 12, 'writers[0].retry.interval must be a duration from 10ms to 1d, got nothing'],
    [writer('retry: { policy: suspend }'), 5, 12, 'writers[0].retry.attempts must be a whole number from 1 to 1000000, got nothing'],
    [
      writer('retry: { policy: backoff, attempts: 3 }'),
      5,
      31,
      'writers[0].retry.attempts is unknown, expected any of policy, initial, max',
    ],
    [writer('retry: { policy: backoff, initial: 1m, max: 1s }'), 5, 40, 'writers[0].retry.initial must be at most retry.max, got "1m"'],
    [writer('filter: { source: {} }'), 5, 23, 'writers[0].filter.source must be a map with something in it, got a map'],
    [
      writer('filter: { tipes: [] }'),
      5,
      15,
      'writers[0].filter.tipes is unknown, expected any of minSeverity, severity, types, source, labels, object, attributes, not',
    ],
    [writer('filter: { source: { host: a } }'), 5, 25, 'writers[0].filter.source.host is unknown, expected any of site, node, component'],
    [
      writer('filter: { source: { node: [a, ""] } }'),
      5,
      35,
      'writers[0].filter.source.node[1] must be a text of 1 to 1024 characters, * for any, got ""',
    ],
    [writer('filter: { object: { kind: [] } }'), 5, 31, 'writers[0].filter.object.kind must be a text or a list of 1 to 100, got a list'],
    [
      writer('filter: { severity: [warn, bad] }'),
      5,
      32,
      'writers[0].filter.severity[1] must be one of debug, info, warn, error, critical, got "bad"',
    ],
    [
      writer('filter: { labels: { region: 7 } }'),
      5,
      33,
      'writers[0].filter.labels.region must be a text of 1 to 1024 characters, * for any, got 7',
    ],
    [
      writer('filter: { attributes: { disk.used: { min: high } } }'),
      5,
      40,
      'writers[0].filter.attributes.disk.used must be a text with * for any characters, a number, true or false, { min, max } or { exists: true }, got a map',
    ],
    [writer('filter: { attributes: { a: [1, ~] } }'), 5, 36, 'writers[0].filter.attributes.a[1] must be a text with *'],
    [writer('filter: { not: {} }'), 5, 20, 'writers[0].filter.not must be a map with something in it, got a map'],
    [
      writer('filter: { not: [{ types: [a] }, { not: { types: [b] } }] }'),
      5,
      39,
      'writers[0].filter.not[1].not is unknown, expected any of',
    ],
    [
      writer('filter: { not: { object: { name: 3 } } }'),
      5,
      38,
      'writers[0].filter.not.object.name must be a text of 1 to 1024 characters, * for any, got 3',
    ],
    [writer('filter: { types: [] }'), 5, 22, 'writers[0].filter.types must be a list of at least 1, got a list'],
    [
      writer('filter: { types: ["a b"] }'),
      5,
      23,
      `writers[0].filter.types[0] must be an event type or a pattern such as 'cluster.*', got "a b"`,
    ],
    ['writers: [{ name: a, removed: maybe }]', 1, 31, 'writers[0].removed must be one of purge, keep, got "maybe"'],
    ['writers: [{ name: a, removed: keep, kind: http }]', 1, 37, 'writers[0].kind is unknown, expected any of name, removed'],
    [
      'writers: [{ name: a, kind: console }, { name: a, removed: keep }]',
      1,
      47,
      'writers[1].name must be another than that of writers[0], got "a" twice',
    ],
    [writer('notices: maybe'), 5, 14, 'writers[0].notices must be true or false, got "maybe"'],
    ['site: a\nsite: b', 2, 1, 'the config file must be YAML: Map keys must be unique'],
    ['site: [a', 1, 9, 'the config file must be YAML:'],
    ['- a', 1, 1, 'the config file must be a map, got a list'],
    ['site: a\n---\nsite: b', 2, 1, 'the config file must be YAML:'],
    ['site: ${NOT_SET}', 1, 7, 'site: ${NOT_SET} must be an environment variable that is set, NOT_SET is not'],
    ['site: ${}', 1, 7, 'site: ${} must be the name of an environment variable or file:/path between ${ and }'],
    ['site: "${OPEN"', 1, 7, 'site: ${OPEN must be a closing }'],
    ['site: ${file:/no/such/file}', 1, 7, 'site: ${file:/no/such/file} must be a readable file in UTF-8, ENOENT'],
  ];
  for (const [text, line, column, message] of bad) {
    it(`refuses ${JSON.stringify(text)}`, async () => {
      const problems = await check(text);
      const found = problems.find((problem) => problem.message.startsWith(message));
      assert.isDefined(found, `none of them begins with ${JSON.stringify(message)}:\n${problems.map(formatProblem).join('\n')}`);
      assert.deepEqual([found?.line, found?.column], [line, column], found?.message);
      assert.equal(found?.file, file);
      assert.isFalse(
        message.includes('YAML') ? false : problems.length > 1,
        `one mistake, one problem:\n${problems.map(formatProblem).join('\n')}`,
      );
    });
  }

  it('says all that is wrong at once, in the order of the places, as CONFIG', async () => {
    const text = [
      'site: ""',
      'dedup: { interval: soon }',
      'writers:',
      '  - { name: A, kind: http }',
      '  - { name: b, kind: smoke }',
      'extra: 1',
    ].join('\n');
    writeFileSync(file, text);
    try {
      await loadConfig(file, { env: {}, cwd: folder });
      assert.fail('it must reject');
    } catch (error) {
      assert.isTrue(isFondacoError(error, 'CONFIG'), String(error));
      const [heading, ...lines] = (error as Error).message.split('\n');
      assert.equal(heading, '[CONFIG] 6 problems in the config');
      assert.deepEqual(
        lines.map((line) =>
          line
            .trim()
            .slice(file.length + 1)
            .split(':')
            .slice(0, 2)
            .join(':'),
        ),
        ['1:7', '2:20', '4:5', '4:13', '5:22', '6:1'],
      );
    }
  });

  it('names a file that is not there, and one that is not text', async () => {
    const checked = await checkConfig(join(folder, 'none.yaml'), { env: {}, cwd: folder });
    assert.isTrue('problems' in checked);
    if ('problems' in checked)
      assert.match(checked.problems.map(formatProblem).join(), /none\.yaml: the config file must be a readable file.*ENOENT/);
    writeFileSync(file, Buffer.from([0x73, 0xff, 0xfe]));
    const binary = await checkConfig(file, { env: {}, cwd: folder });
    assert.isTrue('problems' in binary && binary.problems[0]?.message.startsWith('the config file must be a readable file in UTF-8'));
  });

  it('shows no secret: not what a variable gave, not a literal one, not in a URL, not in broken YAML', async () => {
    writeFileSync(join(folder, 'secret'), 'hunter2\n');
    const texts = [
      writer('timeout: ${PASS}'),
      writer('timeout: "${file:secret}"'),
      writer('headers: { authorization: [hunter2] }'),
      writer('headers: hunter2'),
      writer('secret: hunter2'),
      writer('token: hunter2'),
      writer('pasword: hunter2'),
      'writers:\n  - { name: a, kind: http, url: "ftp://user:hunter2@h/" }',
      'writers:\n  - { name: a, kind: http, url: "ftp://h/?key=hunter2" }',
      'site: "a" "hunter2"',
      'site: "a" hunter2',
      'site: ["hunter2',
      '"hunter2" "hunter2": {',
    ];
    for (const text of texts) {
      const problems = await check(text, { PASS: 'hunter2' });
      assert.isAbove(problems.length, 0, text);
      assert.notInclude(JSON.stringify(problems), 'hunter2', text);
    }
  });

  it('takes variables as text that is never read as YAML, numbers and words by what they say, and $${ as ${', async () => {
    writeFileSync(join(folder, 'site name'), 'a: [b\n');
    const config = await load(
      [
        'site: "${file:site name}"',
        'labels: { a: "x-${REGION}-$${REGION}", b: "$5 {c}" }',
        'listen: { grpc: "127.0.0.1:${PORT}", insecure: "${INSECURE}" }',
        'dedup:',
        '  windowsMax: ${N}',
      ].join('\n'),
      { REGION: 'eu: [', PORT: '1234', N: '77', INSECURE: 'true' },
    );
    assert.equal(config.site, 'a: [b');
    assert.deepEqual(config.labels, { a: 'x-eu: [-${REGION}', b: '$5 {c}' });
    assert.deepEqual(config.listen.grpc, { host: '127.0.0.1', port: 1234 });
    assert.equal(config.dedup.windowsMax, 77);
  });

  it('reads what the design shows, as far as this version goes', async () => {
    writeFileSync(join(folder, 'auth'), 'Bearer abc\n');
    const config = await load(`
site: plant-7
labels: { region: eu }
data: ./data
listen: { grpc: 127.0.0.1:7070, http: unix:/run/fondaco/proxy.sock }
dedup: { interval: 10s, windowsMax: 100000 }
lanes: { urgent: { minSeverity: error } }
journal: { bytesMax: 2GiB, retention: 3d }
inputs: []
writers:
  - name: ops
    kind: http
    url: https://ops.example/events
    headers: { authorization: "\${file:auth}" }
    filter: { minSeverity: warn, types: ['cluster.*'] }
    batch: { interval: 1.5s, eventsMax: 500, bytesMax: 1MiB }
    retry: { policy: backoff, initial: 1s, max: 5m }
    backlog: { bytesMax: 256MiB, ageMax: 30d, whenFull: refuse }
  - { name: screen, kind: console, notices: false, retry: { policy: constant, interval: 2s, attempts: 9 } }
  - { name: old, removed: keep }
`);
    assert.deepEqual(config, {
      file,
      directory: folder,
      site: 'plant-7',
      labels: { region: 'eu' },
      data: join(folder, 'data'),
      listen: { grpc: { host: '127.0.0.1', port: 7070 }, http: { path: '/run/fondaco/proxy.sock' } },
      dedup: { intervalMs: 10_000, windowsMax: 100_000 },
      urgent: 'error',
      journal: { bytesMax: 2 * 1024 ** 3, retentionMs: 3 * 86_400_000 },
      catalogs: [],
      unknownTypes: 'accept',
      writers: [
        {
          name: 'ops',
          kind: 'http',
          settings: { url: 'https://ops.example/events', headers: { authorization: 'Bearer abc' } },
          secrets: ['Bearer abc'],
          batch: { intervalMs: 1500, eventsMax: 500, bytesMax: 1024 * 1024 },
          retry: { policy: 'backoff', initialMs: 1000, maxMs: 300_000 },
          backlog: { bytesMax: 256 * 1024 ** 2, ageMaxMs: 30 * 86_400_000, whenFull: 'refuse' },
          filter: { minSeverity: 'warn', types: ['cluster.*'] },
          notices: true,
        },
        {
          name: 'screen',
          kind: 'console',
          settings: {},
          secrets: [],
          batch: { intervalMs: 1000, eventsMax: 500, bytesMax: 1024 * 1024 },
          retry: { policy: 'constant', intervalMs: 2000, attempts: 9 },
          backlog: { bytesMax: 1024 ** 3, ageMaxMs: Infinity, whenFull: 'drop-oldest' },
          filter: undefined,
          notices: false,
        },
      ],
      removed: [{ name: 'old', removed: 'keep' }],
    });
  });

  it('lets others in only where that is written out', async () => {
    const config = await load('listen: { grpc: 0.0.0.0:7070, http: "[::]:7071", insecure: true }');
    assert.deepEqual(config.listen, { grpc: { host: '0.0.0.0', port: 7070 }, http: { host: '::', port: 7071 } });
    for (const address of ['localhost:1', '127.1.2.3:1', '"[::1]:1"', 'unix:/run/f.sock']) {
      assert.deepEqual(await check(`listen: { grpc: ${address} }`), [], address);
    }
  });

  it('knows which variables of a writer may be secrets, wherever they stand, and which say where something is', async () => {
    const env = {
      HOOK: 'B0:hooksecret',
      TIMEOUT: '5000ms',
      HOST: 'ops.example',
      TOKEN: 'tok-12345',
      PASSWORD: 'pw-12345',
      NAME: 'events',
      URL: 'https://hooks.example/services/T0/B0/XyZ?q=1',
    };
    const writers = `writers:
  - name: hook
    kind: http
    url: "https://\${HOST}/services/\${HOOK}?team=\${NAME}"
    headers: { authorization: "Token token=\${TOKEN}" }
    timeout: "\${TIMEOUT}"
    filter: { types: ["\${NAME}"] }
  - { name: whole, kind: http, url: "\${URL}" }
  - { name: table, kind: sql, url: "postgres://me@\${HOST}/db", password: "\${PASSWORD}", table: "\${NAME}" }
`;
    const config = await load(writers, env);
    assert.deepEqual(
      config.writers.map(({ name, secrets }) => ({ name, secrets })),
      [
        { name: 'hook', secrets: ['B0:hooksecret', 'events', 'tok-12345'] },
        { name: 'whole', secrets: ['/services/T0/B0/XyZ'] },
        { name: 'table', secrets: ['pw-12345'] },
      ],
    );
  });

  it('says that a variable in { } needs quotes', async () => {
    const [problem] = await check('dedup: { windowsMax: ${N} }', { N: '5' });
    assert.include(problem?.message, 'between { } or [ ] a variable needs quotes');
  });

  it('resolves aliases', async () => {
    const config = await load(
      'writers:\n  - { name: a, kind: console, batch: &b { interval: 5s } }\n  - { name: b, kind: console, batch: *b }',
    );
    assert.deepEqual(
      config.writers.map(({ batch }) => batch.intervalMs),
      [5000, 5000],
    );
    const [problem] = await check(
      'writers:\n  - { name: a, kind: console, batch: &b { interval: 5 } }\n  - { name: b, kind: console, batch: *b }',
    );
    assert.equal(problem?.line, 2);
  });

  describe('where it is looked for', () => {
    const at = (place: string, site: string): string => {
      const path = join(folder, place);
      writeFileSync(path, `site: ${site}\n`);
      return path;
    };
    const site = async (flag: string | undefined, env = {}): Promise<string> =>
      (await loadConfig(flag, { env, cwd: folder, hostname: 'host-1' })).site;

    it('--config, FONDACO_CONFIG, ./fondaco.yaml, then the default', async () => {
      assert.equal(await site(undefined), 'host-1');
      at('fondaco.yaml', 'here');
      assert.equal(await site(undefined), 'here');
      const other = at('other.yaml', 'env');
      assert.equal(await site(undefined, { FONDACO_CONFIG: other }), 'env');
      assert.equal(await site(undefined, { FONDACO_CONFIG: '' }), 'here');
      at('flag.yaml', 'flag');
      assert.equal(await site('flag.yaml', { FONDACO_CONFIG: other }), 'flag');
    });

    it('is usable without any: a console writer, loopback, ./data or $STATE_DIRECTORY', async () => {
      const config = await loadConfig(undefined, { env: {}, cwd: folder });
      assert.isUndefined(config.file);
      assert.deepEqual(
        config.writers.map(({ kind, name }) => [kind, name]),
        [['console', 'console']],
      );
      assert.equal(config.data, join(folder, 'data'));
      const state = join(folder, 'state');
      mkdirSync(state);
      assert.equal((await loadConfig(undefined, { env: { STATE_DIRECTORY: `${state}:/other` }, cwd: folder })).data, state);
    });

    it('tells where the data are, whatever else of the config is wrong or unset', async () => {
      const dataOf = async (text: string, env: Record<string, string> = {}): Promise<string> => {
        writeFileSync(file, text);
        return configuredData(file, { env, cwd: '/elsewhere' });
      };
      assert.equal(await dataOf(`data: d\n${writer('auth: { bearer: "${TOKEN}" }\n    sizee: 3')}`), join(folder, 'd'));
      assert.equal(await dataOf('data: "${WHERE}/d"', { WHERE: '/srv' }), '/srv/d');
      assert.equal(await dataOf('', { STATE_DIRECTORY: '/state:/other' }), '/state');
      const wrong: [text: string, says: RegExp][] = [
        ['data: "${WHERE}"', /:1:7: data: \$\{WHERE\} must be an environment variable that is set, WHERE is not$/],
        ['data: [a]', /:1:7: data must be a directory, got a list$/],
        ['data: [a', /the config file must be YAML/],
      ];
      for (const [text, says] of wrong) {
        const thrown: unknown = await dataOf(text).catch((error: unknown) => error);
        assert.isTrue(isFondacoError(thrown, 'CONFIG'), text);
        assert.match(String(thrown), says);
      }
    });

    it('keeps an empty list of writers empty', async () => {
      assert.deepEqual((await load('writers: []')).writers, []);
      assert.lengthOf((await load('# nothing\n')).writers, 1);
    });
  });
});
