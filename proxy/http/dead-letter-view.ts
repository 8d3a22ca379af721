/** A dead letter as people and programs see it over HTTP. */
import { formatMs } from '../../core/time.ts';
import { deadLetterId, eventOf, type DeadLetter } from '../../dispatcher/dead-letters/dead-letters.ts';
import { isOwn } from '../../dispatcher/own-events.ts';
import { nativeJson } from '../../writers/native-json.ts';

/** JSON text, because attributes are shown as they were recorded and not as JSON.parse makes them. */
export function deadLetterJson(letter: DeadLetter): string {
  const { delivery, entry, error, attempts, firstAttemptAt, setAsideAt } = letter;
  const { writer, lane } = delivery;
  const facts = JSON.stringify({
    id: deadLetterId(writer, { lane, position: entry.position }),
    writer,
    lane,
    position: entry.position,
    at: formatMs(setAsideAt),
    reason: error.message.replace(/^\[[A-Z]+\] /, ''),
    ...(error.status !== undefined && { status: error.status }),
    ...(error.answer !== undefined && { answer: error.answer }),
    attempts,
    firstAttemptAt: formatMs(firstAttemptAt),
    lastAttemptAt: formatMs(error.at),
    delivery,
  });
  return `${facts.slice(0, -1)},"event":${eventJson(letter)}}`;
}

/** The event's own JSON, with its place in the journal instead of its number in a delivery. */
function eventJson(letter: DeadLetter): string {
  const { delivery, entry } = letter;
  const event = eventOf(letter);
  const text = nativeJson({ event, delivery, entry });
  // The proxy's own events and summaries; an agent's that takes such a name has another component.
  const isMade = event.summarizes !== undefined || isOwn(event);
  const place = { lane: delivery.lane, position: entry.position, epoch: entry.epoch, kind: isMade ? 'made' : 'accepted' };
  return `${text.slice(0, text.lastIndexOf(',"delivery":'))},${JSON.stringify(place).slice(1)}`;
}
