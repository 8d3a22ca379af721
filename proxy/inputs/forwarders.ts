import type { Batch, BatchReply } from '../../core/batch.ts';
import { FondacoError } from '../../core/errors.ts';
import { matchesGlob } from '../../core/glob.ts';

type Accept = (batch: Batch) => Promise<BatchReply>;

/**
 * Lets batches of proxies through that may forward: of any other site, or of those that `sites` names. Rejects REFUSED for the others; batches
 * of agents are not looked at.
 */
export function admitForwarders(
  accept: Accept,
  { site, sites }: { readonly site: string; readonly sites?: readonly string[] | undefined },
): Accept {
  return async (batch) => {
    const { forwarder } = batch;
    if (forwarder === undefined) return accept(batch);
    if (forwarder === site) {
      throw new FondacoError(
        'REFUSED',
        `forwarder must be another site than this proxy's own, got ${JSON.stringify(site)}: give one of the two another \`site\``,
      );
    }
    if (sites && !sites.some((glob) => matchesGlob(glob, forwarder))) {
      throw new FondacoError('REFUSED', `forwarder must be one of listen.sites, got ${JSON.stringify(forwarder)}`);
    }
    return accept(batch);
  };
}
