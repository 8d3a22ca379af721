import { shortForm } from './short-form.ts';
import campaign from './full-disk.campaign.ts';

shortForm(campaign);
