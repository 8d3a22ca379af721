import { readdir, readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { poll, shortName, type Collector } from './collector.ts';

/** Interfaces by name, and whether each is up; `undefined` where that cannot be told. */
export type Interfaces = ReadonlyMap<string, boolean | undefined>;

const FOLDER = '/sys/class/net';
/** IFF_UP in `flags` (linux/if.h): somebody has switched it on. */
const IFF_UP = 1;

/** net.InterfaceAdded, net.InterfaceRemoved, net.InterfaceUp (info), net.InterfaceDown (warn). What is there at the start is no event. */
export function interfaceCollector(list: () => Promise<Interfaces> = listInterfaces): Collector {
  return {
    name: 'interfaces',
    run: async (parts, signal) => {
      let known = await list();
      const look = async (): Promise<void> => {
        const found = await list();
        for (const [name, isUp] of found) {
          const before = known.get(name);
          const object = { kind: 'Interface', name: shortName(name) };
          if (!known.has(name)) parts.record('net.InterfaceAdded', 'info', `${name} appeared${inWords(isUp)}`, { object });
          else if (isUp === true && before === false) parts.record('net.InterfaceUp', 'info', `${name} went up`, { object });
          else if (isUp === false && before === true) parts.record('net.InterfaceDown', 'warn', `${name} went down`, { object });
        }
        for (const name of known.keys()) {
          const object = { kind: 'Interface', name: shortName(name) };
          if (!found.has(name)) parts.record('net.InterfaceRemoved', 'warn', `${name} is gone`, { object });
        }
        known = found;
      };
      return poll(look, parts, signal);
    },
  };
}

function inWords(isUp: boolean | undefined): string {
  return isUp === undefined ? '' : isUp ? ', up' : ', down';
}

/** As Linux lists them; elsewhere those that have an address, which are those that are up. */
async function listInterfaces(): Promise<Interfaces> {
  const names = await readdir(FOLDER).catch(() => undefined);
  if (!names) return new Map(Object.keys(networkInterfaces()).map((name) => [name, undefined]));
  const found = new Map<string, boolean | undefined>();
  for (const name of names) {
    const state = await readState(name);
    if (state !== 'gone') found.set(name, state);
  }
  return found;
}

/** Up: switched on, and no carrier is missing (`operstate` of some drivers is always unknown). */
async function readState(name: string): Promise<boolean | 'gone'> {
  try {
    const flags = Number(await readFile(join(FOLDER, name, 'flags'), 'utf8'));
    const operstate = (await readFile(join(FOLDER, name, 'operstate'), 'utf8')).trim();
    return (flags & IFF_UP) !== 0 && (operstate === 'up' || operstate === 'unknown');
  } catch {
    return 'gone'; // between the listing and now, or a file such as bonding_masters
  }
}
