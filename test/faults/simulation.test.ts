import { shortForm } from './short-form.ts';
import campaign from './simulation.campaign.ts';

shortForm(campaign);
