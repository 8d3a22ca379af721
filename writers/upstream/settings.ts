/** What a writer of kind `upstream` may be told. */
import { isIPv6 } from 'node:net';
import { z } from 'zod';
import { isLoopback } from '../../core/loopback.ts';
import { duration, leaf, text, type SettingProblem } from '../settings.ts';
import { tlsProblems, tlsSettings } from '../tls-files.ts';

/** Proxies that a writer may name. */
const ADDRESSES_MAX = 16;
const FORM = 'host:port, [IPv6]:port or unix:/path';

export const upstreamSettings = z.strictObject({
  /** Where the proxy above listens for gRPC; of several the next is tried when one cannot be reached. */
  address: leaf(
    `${FORM}, or a list of 1 to ${ADDRESSES_MAX} of them`,
    { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' }, minItems: 1, maxItems: ADDRESSES_MAX }] },
    (value) => {
      const list: readonly unknown[] = Array.isArray(value) ? value : [value];
      const isGood = list.length > 0 && list.length <= ADDRESSES_MAX && list.every((each) => typeof each === 'string' && isAddress(each));
      return isGood ? (list as readonly string[]) : undefined;
    },
  ),
  /** `listen.token` of the proxy above. */
  token: text('1 to 512 ASCII characters without spaces', (value) => /^[\x21-\x7e]{1,512}$/.test(value)).optional(),
  /** TLS; `{}` trusts what Node trusts. */
  tls: tlsSettings.optional(),
  /** For the connection, and for each answer. */
  timeout: duration({ min: '100ms', max: '10m' }).default(10_000),
});

export type UpstreamSettings = z.output<typeof upstreamSettings>;

/** What is wrong with settings that are right one by one. */
export function upstreamProblems({ address, token, tls }: UpstreamSettings): SettingProblem[] {
  const problems: SettingProblem[] = [];
  if (tls) problems.push(...tlsProblems(tls).map(({ key, message }) => ({ key: ['tls', ...key], message })));
  const far = address.find((each) => !each.startsWith('unix:') && !isLoopback(each.replace(/:\d+$/, '')));
  if (token !== undefined && !tls && far !== undefined) {
    problems.push({ key: ['token'], message: `must not go to another machine, ${far}, without tls: anybody on the way could read it` });
  }
  return problems;
}

function isAddress(address: string): boolean {
  if (address.startsWith('unix:')) return address.startsWith('unix:/');
  const [, v6, name, digits = ''] = /^(?:\[([^\]]+)\]|([A-Za-z0-9._-]{1,253})):(\d{1,5})$/.exec(address) ?? [];
  const port = Number(digits);
  return (name !== undefined || (v6 !== undefined && isIPv6(v6))) && port >= 1 && port <= 65_535;
}
