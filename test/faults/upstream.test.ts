import { shortForm } from './short-form.ts';
import campaign from './upstream.campaign.ts';

shortForm(campaign);
