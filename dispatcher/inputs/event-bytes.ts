import { encodeEvent } from '../../core/event-codec.ts';
import type { EventFields } from '../../core/event-input.ts';
import { FondacoError } from '../../core/errors.ts';
import { EventWalk } from '../../core/event-walk.ts';
import { ProtobufWriter } from '../../core/protobuf.ts';

/** The bytes of events that are numbered here, and not by a recorder. */
export class EventBytes {
  readonly #writer = new ProtobufWriter();
  readonly #walk = new EventWalk();

  /** Throws REJECTED where acceptance would, so that nothing is numbered that it rejects. */
  of(fields: EventFields): Uint8Array {
    this.#writer.reset();
    encodeEvent(this.#writer, fields);
    const bytes = Uint8Array.from(this.#writer.view());
    if (!this.#walk.over(bytes, 0, bytes.length)) throw new FondacoError('REJECTED', this.#walk.reason, { field: 'event' });
    return bytes;
  }
}
