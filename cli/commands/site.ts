import type { Command } from 'commander';
import { addNoun, apiOf, defaultVerb, withApiAndJson, withExamples, type ApiFlags } from './options.ts';

export function addSite(to: Command): void {
  const site = addNoun(to, 'site', 'the sites whose proxies forward to this one');
  const list = defaultVerb(site, 'list').description('each with its last heartbeat: version, what it took, what waits there');
  withExamples(withApiAndJson(list), 'fondaco site list', 'fondaco sites --json').action(async (flags: ApiFlags) => {
    const { listSites } = await import('../site.ts');
    await listSites(apiOf(flags), flags.json === true);
  });
  const forget = site.command('forget').description('take a site out of the list that is no more').argument('<site>', 'its name');
  withExamples(withApiAndJson(forget), 'fondaco site forget plant-7').action(async (name: string, flags: ApiFlags) => {
    const { forgetSite } = await import('../site.ts');
    await forgetSite(name, apiOf(flags), flags.json === true);
  });
}
