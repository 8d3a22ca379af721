import campaign from './corruption.campaign.ts';
import { shortForm } from './short-form.ts';

shortForm(campaign);
