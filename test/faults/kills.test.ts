import campaign from './kills.campaign.ts';
import { shortForm } from './short-form.ts';

shortForm(campaign);
