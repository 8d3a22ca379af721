import { shortForm } from './short-form.ts';
import campaign from './low-rate.campaign.ts';

shortForm(campaign);
