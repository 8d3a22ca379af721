/** A subscriber that counts: reads each batch whole, finds its events by the key that every CloudEvent has once, and answers 204. */
import { createServer } from 'node:http';

const MARK = Buffer.from('"specversion"');
const expected = Number(process.argv[2]);
let events = 0;
const server = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on('data', (part: Buffer) => parts.push(part));
  request.on('end', () => {
    const body = Buffer.concat(parts);
    for (let at = body.indexOf(MARK); at >= 0; at = body.indexOf(MARK, at + MARK.length)) events++;
    response.writeHead(204).end();
    if (events >= expected) console.log(JSON.stringify({ delivered: events, at: Date.now() }));
  });
});
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: (server.address() as { port: number }).port })));
process.on('SIGTERM', () => process.exit(0));
