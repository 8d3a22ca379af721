import { missingPostgres } from '../support/postgres-server.ts';
import { shortForm } from './short-form.ts';
import campaign from './sql.campaign.ts';

const missing = missingPostgres();
if (missing === undefined) shortForm(campaign);
else describe.skip(`${campaign.title} (${missing})`, () => it('loses nothing', () => undefined));
