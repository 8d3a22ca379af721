/** The syslog writer against real servers: every field of every event, on every transport. The fault campaign sends 10,000. */
import { assert } from 'chai';
import { missingOpenssl } from '../../support/certificates.ts';
import { fieldsOf, nastyEvents, NASTY_WAYS, sendOver } from '../../support/syslog-nasty.ts';
import { missingServer } from '../../support/syslog-server.ts';

/** Every nasty line, and some more. */
const COUNT = 450;

for (const product of ['rsyslog', 'syslog-ng'] as const) {
  const missing = missingServer(product) ?? missingOpenssl();
  const title = `syslog writer and ${product}: events with nasty text arrive, equal in every field`;
  (missing === undefined ? describe : describe.skip)(missing === undefined ? title : `${title} (${missing})`, function () {
    this.timeout(120_000);
    const events = nastyEvents(COUNT);

    for (const way of NASTY_WAYS.filter((each) => each.product === product)) {
      it(way.name, async () => {
        const received = await sendOver(way, events);
        for (const [i, event] of events.entries()) {
          const [sent, got] = fieldsOf(event, i + 1, received[i]);
          assert.deepEqual(got, sent, `event ${i + 1}`);
        }
        assert.lengthOf(received, events.length);
      });
    }
  });
}
