/** How messages follow each other on a stream: RFC 6587 section 3.4. */
export type Framing = 'octet-counting' | 'lf';

/** Messages, which hold no line feed, as the bytes of a stream. RFC 5425 and RFC 6587 section 3.4.1: `LENGTH SP MESSAGE`; 3.4.2: `MESSAGE LF`. */
export function framed(messages: readonly Buffer[], framing: Framing): Buffer {
  const parts =
    framing === 'lf'
      ? messages.flatMap((message) => [message, LF])
      : messages.flatMap((message) => [Buffer.from(`${message.length} `), message]);
  return Buffer.concat(parts);
}

const LF = Buffer.from('\n');
