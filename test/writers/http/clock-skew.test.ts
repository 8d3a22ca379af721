import { assert } from 'chai';
import { ClockSkew } from '../../../writers/http/clock-skew.ts';
import { deliveries, eventOf, plainLines } from '../../support/deliveries.ts';
import { failure } from '../../contract/writer-contract.ts';
import { openHttp } from '../../support/http-scene.ts';
import { Subscriber } from '../../support/subscriber.ts';

const never = new AbortController().signal;
const batch = deliveries([eventOf(plainLines(1, 1)[0]!)]);

describe("the destination's clock", () => {
  it('is measured from when the request left to when the answer came', () => {
    const rows: [date: number | undefined, sentAt: number, receivedAt: number, warning: string | undefined][] = [
      [1_000_000, 1_000_000, 1_000_100, undefined],
      [1_060_000, 1_000_000, 1_000_000, undefined],
      [1_061_000, 1_000_000, 1_000_000, 'its clock is 61 s ahead of the one here'],
      // An answer that took two minutes may have been made at any time in between.
      [1_000_000, 1_000_000, 1_120_000, undefined],
      [1_119_000, 1_000_000, 1_120_000, undefined],
      [939_000, 1_000_000, 1_000_000, undefined],
      [938_000, 1_000_000, 1_000_000, 'its clock is 61 s behind the one here'],
      [0, 1_000_000, 1_000_000, 'its clock is 999 s behind the one here'],
    ];
    for (const [date, sentAt, receivedAt, warning] of rows) {
      const skew = new ClockSkew();
      skew.saw(date, sentAt, receivedAt);
      assert.equal(skew.warning, warning, String(date));
    }
  });

  it('is named while it is wrong, whatever the answer is, and no more once it is right', async () => {
    const subscriber = await Subscriber.open();
    const writer = await openHttp({ url: subscriber.url }); // at 08:00:00
    const answer = (date: string | undefined, status = 200): void => {
      subscriber.answer = () => ({ status, ...(date !== undefined && { headers: { date } }) });
    };
    assert.deepEqual(writer.warnings(), []);
    answer('Sun, 22 Nov 2026 08:02:05 GMT', 401);
    await failure(writer.write(batch, never));
    assert.deepEqual(writer.warnings(), ['its clock is 125 s ahead of the one here']);
    answer('Sunday, 22-Nov-26 07:30:00 GMT');
    await writer.write(batch, never);
    assert.deepEqual(writer.warnings(), ['its clock is 1799 s behind the one here']);
    answer('not a date');
    await writer.write(batch, never);
    assert.lengthOf(writer.warnings(), 1);
    answer('Sun, 22 Nov 2026 08:00:03 GMT');
    await writer.write(batch, never);
    assert.deepEqual(writer.warnings(), []);
    await writer.close();
    await subscriber.close();
  });
});
