/** Events that the contract hands over, in their input form. */

/** Lines of a plain stream: `from` to `to`, both included. */
export function plainLines(from: number, to: number): string[] {
  const lines: string[] = [];
  for (let i = from; i <= to; i++) {
    lines.push(
      JSON.stringify({ type: 'test.Tick', severity: 'info', time: '2026-11-22T08:00:00.123456Z', message: `tick ${i}`, attributes: { i } }),
    );
  }
  return lines;
}

/** Text, times, numbers, keys and sources that break things. */
export function nastyLines(): string[] {
  return NASTY.map((message, i) =>
    JSON.stringify({
      type: 'nasty.Text',
      severity: 'warn',
      time: TIMES[i % TIMES.length],
      message,
      source: { node: i % 2 === 0 ? '[fe80::1%eth0]:7070' : 'узел-7', component: 'cmp/with:colon' },
      object: { kind: 'Path', name: Array.from(message).slice(0, 20).join(''), uri: '/redfish/v1/Systems/1' },
    }).replace(/}$/, `,"attributes":{"neg": -0.0,"f":1.10,"":"empty key","text":${JSON.stringify(message)}}}`),
  );
}

const TIMES = [
  '2026-11-22T08:00:00.123456789Z',
  '2026-11-22T08:00:00Z',
  '1969-12-31T23:59:59.999Z',
  '2026-11-22T09:00:00.5+01:00',
  '2000-02-29T00:00:00.000000001Z',
];

const NASTY = [
  'quotes " and \' and \\ backslash',
  'brackets ] [ in "structured" data ]',
  'line\nbreak\r\nand\ttab',
  'NUL \u0000 inside, escape \u001b[2J, delete \u007f, C1 \u009b',
  'emoji 🚢 and 👩‍🚀 joined',
  '4-byte 𝔘𝔫𝔦𝔠𝔬𝔡𝔢, \u{10ffff} the last one',
  'rtl שלום \u202eoverride',
  'combining e\u0301 vs é',
  'zero width \u200b here, BOM \ufeff in the middle, line separator \u2028',
  '<script>alert(1)</script>',
  '${jndi:ldap://127.0.0.1/x} %s %n {}',
  "'); DROP TABLE events; --",
  ' space before and after ',
  '-',
  '',
  '{"looks":"like json"}',
  '%0d%0aSet-Cookie: a=b',
  'é'.repeat(4096),
];

/** One event of nearly 64 KiB encoded: attributes at their limit and every other field long. */
export function largeLine(): string {
  const attributes = { text: '\u{1F6A2}'.repeat(8000) };
  const name = (char: string): string => char.repeat(256);
  return JSON.stringify({
    type: 'test.Large',
    severity: 'warn',
    time: '2026-11-22T08:00:00Z',
    message: '"'.repeat(8192),
    source: { node: name('n'), component: name('c') },
    object: { kind: name('k'), name: name('o'), namespace: name('s'), tenant: name('t'), uri: name('u') },
    attributes,
  });
}
