import campaign from './urgent.campaign.ts';
import { shortForm } from './short-form.ts';

shortForm(campaign);
