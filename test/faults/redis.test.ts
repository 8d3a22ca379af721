import { missingRedis } from '../support/redis-server.ts';
import campaign from './redis.campaign.ts';
import { shortForm } from './short-form.ts';

const missing = missingRedis();
if (missing === undefined) shortForm(campaign);
else describe.skip(`${campaign.title} (${missing})`, () => it('loses nothing', () => undefined));
