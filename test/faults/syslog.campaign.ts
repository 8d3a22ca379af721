/**
 * 10,000 events with nasty text go over every transport to rsyslog and syslog-ng. Both are Debian's (scripts/setup.mjs); without them there is nothing
 * to count. With a few such events it is a test of test/writers/syslog; what happens when a server dies is in the campaign `delivery`.
 */
import { missingOpenssl } from '../support/certificates.ts';
import { nastyRow, NASTY_WAYS } from '../support/syslog-nasty.ts';
import { missingServer } from '../support/syslog-server.ts';
import type { Campaign } from './campaign.ts';

const EVENTS = { short: 500, long: 10_000 };

const campaign: Campaign = {
  title: 'syslog: nasty text over every transport',
  repeats: 'nothing does: nothing is broken',
  async *run({ form, progress }) {
    const missing = missingServer('rsyslog') ?? missingServer('syslog-ng') ?? missingOpenssl();
    if (missing !== undefined) throw new Error(missing);
    for (const [i, way] of NASTY_WAYS.entries()) {
      yield await nastyRow(way, EVENTS[form]);
      progress(i + 1, NASTY_WAYS.length);
    }
  },
};

export default campaign;
