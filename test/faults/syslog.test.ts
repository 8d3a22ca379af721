import { missingOpenssl } from '../support/certificates.ts';
import { missingServer } from '../support/syslog-server.ts';
import { shortForm } from './short-form.ts';
import campaign from './syslog.campaign.ts';

const missing = missingServer('rsyslog') ?? missingServer('syslog-ng') ?? missingOpenssl();
if (missing === undefined) shortForm(campaign);
else describe.skip(`${campaign.title} (${missing})`, () => it('loses nothing', () => undefined));
