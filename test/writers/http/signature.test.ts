import { assert } from 'chai';
import { gunzipSync } from 'node:zlib';
import { Webhook } from 'standardwebhooks';
import type { Clock } from '../../../core/clock.ts';
import { systemClock } from '../../../core/clock.ts';
import { httpSettings } from '../../../writers/http/settings.ts';
import type { HttpWriter } from '../../../writers/http/writer.ts';
import { failure } from '../../contract/writer-contract.ts';
import { deliveries, eventOf, nastyLines, plainLines } from '../../support/deliveries.ts';
import { openHttp } from '../../support/http-scene.ts';
import { Subscriber, type SeenRequest } from '../../support/subscriber.ts';

const never = new AbortController().signal;
const secretOf = (fill: number, bytes = 32): string => `whsec_${Buffer.alloc(bytes, fill).toString('base64')}`;
const [NEW, OLD, OTHER] = [secretOf(1), secretOf(2), secretOf(3)];
const batch = deliveries([...nastyLines(), ...plainLines(1, 20)].map((line, i) => eventOf(line, i + 1)));

describe('http writer, Standard Webhooks', () => {
  let subscriber: Subscriber;
  const writers: HttpWriter[] = [];
  /** The package judges by the machine's clock. */
  let now = (): number => Date.now();
  const clock: Clock = { ...systemClock(), now: () => now() };
  const open = async (more: object): Promise<HttpWriter> => {
    const writer = await openHttp({ url: subscriber.url, ...more }, { clock });
    writers.push(writer);
    return writer;
  };
  const verify = (secret: string, { headers, body }: Pick<SeenRequest, 'headers' | 'body'>): unknown =>
    new Webhook(secret).verify(body.toString(), headers as Record<string, string>);

  beforeEach(async () => {
    subscriber = await Subscriber.open();
    now = () => Date.now();
  });
  afterEach(async () => {
    await Promise.all(writers.splice(0).map(async (writer) => writer.close()));
    await subscriber.close();
  });

  it('signs what the standardwebhooks package verifies, and nothing where there is no secret', async () => {
    await (await open({ secret: NEW })).write(batch, never);
    const [request] = subscriber.requests as [SeenRequest];
    assert.lengthOf(verify(NEW, request) as unknown[], batch.length);
    assert.throws(() => verify(OTHER, request), 'No matching signature found');
    const tampered = { ...request, body: Buffer.from(request.body.toString().replace('tick 7', 'tick 8')) };
    assert.throws(() => verify(NEW, tampered), 'No matching signature found');
    await (await open({})).write(batch, never);
    assert.isUndefined(subscriber.requests[1]!.headers['webhook-signature']);
    assert.isUndefined(subscriber.requests[1]!.headers['webhook-timestamp']);
  });

  it('signs with both secrets while one is rotated, as the package does, the first one first', async () => {
    await (await open({ secret: [NEW, OLD], format: 'ndjson' })).write(batch, never);
    const [{ headers, body }] = subscriber.requests as [SeenRequest];
    const id = String(headers['webhook-id']);
    const at = new Date(Number(headers['webhook-timestamp']) * 1000);
    const expected = [NEW, OLD].map((secret) => new Webhook(secret).sign(id, at, body.toString()));
    assert.equal(headers['webhook-signature'], expected.join(' '));
    assert.notInclude(id, '.', 'a full stop ends the id in what is signed');
  });

  it('signs each attempt anew, at its own time, under the same id', async () => {
    const writer = await open({ secret: NEW });
    subscriber.answer = () => ({ status: subscriber.requests.length === 1 ? 503 : 200 });
    now = () => Date.now() - 60_000;
    await failure(writer.write(batch, never));
    now = () => Date.now();
    await writer.write(batch, never);
    const [first, second] = subscriber.requests as [SeenRequest, SeenRequest];
    assert.equal(first.headers['webhook-id'], second.headers['webhook-id']);
    const seconds = [first, second].map(({ headers }) => Number(headers['webhook-timestamp'])) as [number, number];
    assert.isAtLeast(seconds[1] - seconds[0], 59);
    for (const request of [first, second]) verify(NEW, request);
  });

  it('signs the body as it is before gzip, which a receiver sees after it', async () => {
    await (await open({ secret: NEW, compression: 'gzip' })).write(batch, never);
    const [request] = subscriber.requests as [SeenRequest];
    assert.equal(request.headers['content-encoding'], 'gzip');
    assert.isBelow(request.body.length, gunzipSync(request.body).length / 2);
    verify(NEW, { headers: request.headers, body: gunzipSync(request.body) });
  });

  it('does not compress what is small', async () => {
    await (await open({ compression: 'gzip' })).write(deliveries([eventOf(plainLines(1, 1)[0]!)]), never);
    assert.isUndefined(subscriber.requests[0]!.headers['content-encoding']);
    assert.lengthOf(JSON.parse(subscriber.requests[0]!.body.toString()) as unknown[], 1);
  });

  it('shows a secret nowhere, also where the destination repeats it', async () => {
    const writer = await open({ secret: [NEW, OLD] });
    subscriber.answer = () => ({ status: 401, body: `not ${NEW} and not ${OLD.slice(6)}` });
    const { facts, message } = await failure(writer.write(batch, never));
    assert.equal(facts.answer, 'not *** and not ***');
    assert.notInclude(message, 'whsec_');
  });

  it('takes secrets of 24 to 64 bytes, one or two', () => {
    const url = 'http://127.0.0.1/';
    for (const secret of [secretOf(1, 24), secretOf(1, 64), [NEW], [NEW, OLD], secretOf(1, 25).replace(/=+$/, '')]) {
      assert.isTrue(httpSettings.safeParse({ url, secret }).success, String(secret));
    }
    const bad = [secretOf(1, 23), secretOf(1, 65), NEW.slice(6), 'whsec_', 'whsec_not base64!', [], [NEW, OLD, OTHER], [NEW, 7], 7, '', {}];
    for (const secret of bad) {
      const { error } = httpSettings.safeParse({ url, secret });
      assert.equal(
        error?.issues[0]?.message,
        'whsec_ and the base64 of 24 to 64 bytes, or a list of two such secrets',
        JSON.stringify(secret),
      );
    }
  });
});
