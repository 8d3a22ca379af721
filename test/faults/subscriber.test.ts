import { shortForm } from './short-form.ts';
import campaign from './subscriber.campaign.ts';

shortForm(campaign);
