import { shortForm } from './short-form.ts';
import campaign from './delivery.campaign.ts';

shortForm(campaign);
