import { canTrace } from './power-cut/file-trace.ts';
import campaign from './power-cut.campaign.ts';
import { shortForm } from './short-form.ts';

if (canTrace()) shortForm(campaign);
else describe.skip(`${campaign.title}: strace is not there, or may not trace`, () => it('loses nothing, counts nothing wrong'));
