/** True for a host that names this machine alone: `localhost`, 127.0.0.0/8, `::1` (in brackets or not). */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '');
  return bare === 'localhost' || bare === '::1' || /^127(?:\.\d{1,3}){3}$/.test(bare);
}
