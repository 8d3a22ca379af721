import { expect } from 'chai';
import { DecodedEvent } from '../../core/event-codec.ts';
import type { Draft } from '../../core/journal.ts';
import { SITE_PREFIX, Sites } from '../../dispatcher/sites.ts';
import { FakeClock } from '../support/fake-clock.ts';

describe('sites by their heartbeats', () => {
  const told: string[] = [];
  const rows = new Map<string, unknown>();
  const draft = {
    put: (key: string, value: () => unknown) => void rows.set(key, structuredClone(value())),
    delete: (key: string) => void rows.delete(key),
  } as unknown as Draft;
  let clock: FakeClock;
  let sites: Sites;

  const open = (): void => {
    sites = new Sites({ clock, record: (_draft, { type, attributes }) => void told.push(`${type} ${String(attributes.site)}`) });
    sites.load([...rows].map(([key, value]) => ({ key, value })));
  };
  const beat = (site: string, via = [site], attributes: object = { intervalMs: 1000 }): void => {
    const event = Object.assign(new DecodedEvent(), { time: '2026-11-22T08:00:00Z', attributesText: JSON.stringify(attributes) });
    event.source.site = site;
    sites.beat(draft, event, via);
  };
  /** So much later, as the dispatcher's loop has it. */
  const after = async (ms: number): Promise<void> => {
    await clock.advance(ms);
    if (sites.nextDue() <= clock.monotonic()) sites.closeDue(draft, clock.monotonic());
  };
  const state = (): string =>
    sites
      .status()
      .map(({ site, state: each }) => `${site} ${each}`)
      .join(', ');

  beforeEach(() => {
    told.length = 0;
    rows.clear();
    clock = new FakeClock();
    open();
  });

  it('are silent after three that are missed, and back with the next, each told once', async () => {
    beat('a');
    await after(3400);
    expect(state()).to.equal('a alive');
    await after(100);
    await after(10_000);
    expect([state(), ...told]).to.deep.equal(['a silent', 'fondaco.SiteSilent a']);
    beat('a');
    beat('a');
    expect([state(), ...told]).to.deep.equal(['a alive', 'fondaco.SiteSilent a', 'fondaco.SiteBack a']);
  });

  it('are not silent while anything else comes from them', async () => {
    beat('a');
    for (let i = 0; i < 5; i++) {
      await after(3000);
      sites.seen(['far', 'a']);
    }
    expect(state()).to.equal('a alive');
  });

  it('have their whole time after a restart, and one that was silent stays so, and is not told again', async () => {
    beat('a');
    await after(3500);
    beat('b');
    await after(3000);
    open();
    await after(3400);
    expect(state()).to.equal('a silent, b alive');
    await after(100);
    expect([state(), ...told]).to.deep.equal(['a silent, b silent', 'fondaco.SiteSilent a', 'fondaco.SiteSilent b']);
    open();
    beat('a');
    expect(told.at(-1)).to.equal('fondaco.SiteBack a');
  });

  it('are not disturbed by a wall clock that jumps', async () => {
    beat('a');
    clock.wall += 86_400_000;
    await after(3000);
    expect(state()).to.equal('a alive');
  });

  it('further down are shown, and told by the proxy right above them alone', async () => {
    beat('a', ['a', 'region']);
    await after(3500);
    expect([state(), ...told]).to.deep.equal(['a silent']);
  });

  it('are forgotten when somebody says so, until they beat again', async () => {
    beat('a');
    expect(rows.has(`${SITE_PREFIX}a`)).to.equal(true);
    expect([sites.forget(draft, 'a'), sites.forget(draft, 'a')]).to.deep.equal([true, false]);
    await after(10_000);
    expect([state(), rows.size, ...told]).to.deep.equal(['', 0]);
    beat('a');
    expect(state()).to.equal('a alive');
  });

  it('may say anything of themselves', () => {
    beat('a', ['a'], { intervalMs: 'x', version: {}, accepted: -1, pending: null });
    expect(sites.status()[0]).to.include({ version: '', accepted: 0, pending: 0 });
  });
});
