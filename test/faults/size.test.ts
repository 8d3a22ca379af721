import campaign from './size.campaign.ts';
import { shortForm } from './short-form.ts';

shortForm(campaign);
