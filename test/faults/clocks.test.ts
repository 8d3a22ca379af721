import { shortForm } from './short-form.ts';
import campaign from './clocks.campaign.ts';

shortForm(campaign);
