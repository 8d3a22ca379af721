import type { SiteStatus } from '../dispatcher/sites.ts';
import { visible } from '../writers/console-line.ts';
import { askProxy, type Api } from './api.ts';
import { age, count, cut, print, printJson, screenColumns, table } from './text.ts';

const HEAD = ['site', 'state', 'last heartbeat (UTC)', 'ago', 'version', 'accepted', 'lost', 'pending', 'oldest', 'via'];

/** One row for each site below the proxy. */
export async function listSites(api: Api, isJson: boolean): Promise<void> {
  const answer = await askProxy<{ sites: SiteStatus[] }>(api, '/v1/sites', { needs: ['sites'] });
  if (isJson) printJson(answer);
  else print(siteList(answer.sites, screenColumns()));
}

/** The sites as a table. */
export function siteList(sites: readonly SiteStatus[], columns: number): string {
  if (sites.length === 0) return 'no sites: no proxy forwards its heartbeats to this one';
  return table(HEAD, sites.map(cells), 9)
    .split('\n')
    .map((line) => cut(line, columns))
    .join('\n');
}

function cells({ site, state, lastHeartbeat, sinceHeartbeatMs, version, accepted, lost, pending, oldestAgeMs, via }: SiteStatus): string[] {
  const oldest = pending === 0 ? '-' : age(oldestAgeMs);
  const said = [version, count(accepted), count(lost), count(pending), oldest, via.slice(1).join(', ') || '-'];
  return [site, state, lastHeartbeat.replace('T', ' ').slice(0, 19), age(sinceHeartbeatMs), ...said].map((text) => visible(text));
}

/** Takes a site out of the list that is no more. */
export async function forgetSite(site: string, api: Api, isJson: boolean): Promise<void> {
  const answer = await askProxy<object>(api, `/v1/sites/${encodeURIComponent(site)}`, { method: 'DELETE' });
  if (isJson) printJson(answer);
  else print(`site ${visible(site)} is forgotten; it comes back with its next heartbeat, if there is one`);
}
