/** Server-sent events, as a client reads them (WHATWG HTML, section 9.2.6 "Interpreting an event stream"). */
import { FondacoError } from '../core/errors.ts';

export interface ServerSentEvent {
  /** The name after `event:`; `message` without one. */
  readonly event: string;
  readonly data: string;
  /** The last `id:` so far; '' before the first. */
  readonly id: string;
}

/** No event is longer: 64 KiB of it escaped throughout, twice over. */
const LINE_CHARS_MAX = 1024 * 1024;

/**
 * The events of a stream of bytes, in order; an id that comes alone is one with empty `data`. Comments are passed over; what is cut off at the
 * end is dropped, as the standard wants it. Rejects UNAVAILABLE for a line beyond 1 MiB.
 */
export async function* readServerSentEvents(input: AsyncIterable<Buffer>): AsyncGenerator<ServerSentEvent> {
  let event = '';
  let data: string[] = [];
  let id = '';
  let seenId = '';
  for await (const line of lines(input)) {
    if (line === '') {
      if (data.length > 0 || id !== seenId) yield { event: event === '' ? 'message' : event, data: data.join('\n'), id };
      event = '';
      data = [];
      seenId = id;
      continue;
    }
    const [, field = '', value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (field === 'event') event = value;
    else if (field === 'data') data.push(value);
    else if (field === 'id' && !value.includes('\0')) id = value;
  }
}

/** Lines ended by LF, CRLF or CR, in UTF-8. */
async function* lines(input: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let held = '';
  for await (const chunk of input) {
    held += decoder.decode(chunk, { stream: true });
    // A CR at the very end may be half of a CRLF.
    for (let found = LINE_END.exec(held); found !== null; found = LINE_END.exec(held)) {
      yield held.slice(0, found.index);
      held = held.slice(found.index + found[0].length);
    }
    if (held.length > LINE_CHARS_MAX) {
      throw new FondacoError('UNAVAILABLE', `a line of the event stream must be at most ${LINE_CHARS_MAX} characters: is that a proxy?`);
    }
  }
}

const LINE_END = /\r\n|\n|\r(?!$)/;
