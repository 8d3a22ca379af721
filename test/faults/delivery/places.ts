/** Every destination of the table, by the name of its writer. */
import { missingOpenssl } from '../../support/certificates.ts';
import { missingPostgres, type PostgresServer } from '../../support/postgres-server.ts';
import { missingRedis } from '../../support/redis-server.ts';
import { missingServer } from '../../support/syslog-server.ts';
import { missingSqlite } from '../../../writers/sql/settings.ts';
import { HTTP_WAYS, HttpPlace, OtlpPlace } from './http-places.ts';
import { openConsole, openFile, openModule } from './near-places.ts';
import type { Place } from './place.ts';
import { openPostgres, openRedis, openSqlitePlace, openUpper } from './store-places.ts';
import { openSyslogPlaces, SYSLOG_NAMES } from './syslog-places.ts';

export const PLACES: readonly string[] = [
  ...Object.keys(HTTP_WAYS),
  'otlp',
  ...SYSLOG_NAMES,
  'redis',
  'postgres',
  'sqlite',
  'upstream',
  'file',
  'console',
  'module',
];

/** Why a destination cannot be run here; undefined if it can. */
export function missingPlace(name: string): string | undefined {
  if (name === 'redis') return missingRedis();
  if (name === 'postgres') return missingPostgres();
  if (name === 'sqlite') return missingSqlite();
  if (name === 'syslog-ng') return missingServer('syslog-ng');
  if (SYSLOG_NAMES.includes(name)) return missingServer('rsyslog') ?? (name === 'tls' ? missingOpenssl() : undefined);
  return undefined;
}

export interface Surroundings {
  /** For what they keep. */
  readonly folder: string;
  readonly postgres: PostgresServer | undefined;
  /** `file` is to be on a disk that can be filled. */
  readonly isFilled: boolean;
}

/** Those of these names, started. */
export async function openPlaces(names: readonly string[], surroundings: Surroundings): Promise<Place[]> {
  const places = await openSyslogPlaces(names, surroundings.folder);
  const others = names.filter((name) => !SYSLOG_NAMES.includes(name));
  places.push(...(await Promise.all(others.map(async (name) => openOne(name, surroundings)))));
  return places;
}

async function openOne(name: string, { folder, postgres, isFilled }: Surroundings): Promise<Place> {
  switch (name) {
    case 'otlp':
      return OtlpPlace.open(name);
    case 'redis':
      return openRedis(name, folder);
    case 'postgres':
      return openPostgres(name, postgres!);
    case 'sqlite':
      return openSqlitePlace(name, folder);
    case 'upstream':
      return openUpper(name, folder);
    case 'file':
      return openFile(name, { folder, isFilled });
    case 'console':
      return openConsole(name);
    case 'module':
      return openModule(name, folder);
    default:
      return HttpPlace.open(name);
  }
}
