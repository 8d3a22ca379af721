import { isIPv6 } from 'node:net';

/** Where a server listens: a host and a port, or a unix socket. */
export type Endpoint = { readonly host: string; readonly port: number } | { readonly path: string };

/** `host`, `host:port`, `[::1]:port`, `::1` or `unix:/path`; undefined for anything else. */
export function parseEndpoint(address: string, defaultPort: number): Endpoint | undefined {
  if (address.startsWith('unix:/')) return address.includes('\0') ? undefined : { path: address.slice('unix:'.length) };
  return parseHostPort(address, defaultPort);
}

/** As `parseEndpoint`, without unix sockets. */
export function parseHostPort(address: string, defaultPort: number): { readonly host: string; readonly port: number } | undefined {
  if (isIPv6(address)) return { host: address, port: defaultPort };
  const [, bracketed, name, digits] = /^(?:\[([^\]]+)\]|([A-Za-z0-9._-]{1,253}))(?::(\d{1,5}))?$/.exec(address) ?? [];
  const host = bracketed ?? name;
  if (host === undefined || (bracketed !== undefined && !isIPv6(bracketed))) return undefined;
  const port = digits === undefined ? defaultPort : Number(digits);
  return port >= 1 && port <= 65_535 ? { host, port } : undefined;
}

/** For people. */
export function showEndpoint(endpoint: Endpoint): string {
  if ('path' in endpoint) return `unix:${endpoint.path}`;
  return `${endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host}:${endpoint.port}`;
}
