import campaign from './overload.campaign.ts';
import { shortForm } from './short-form.ts';

shortForm(campaign);
