import { shortForm } from './short-form.ts';
import campaign from './ledger.campaign.ts';

shortForm(campaign);
