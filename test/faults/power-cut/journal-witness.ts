import { WRITERS, type Seen, type SenderState, type WriterName } from './small-site.ts';

/** What the world knows of a proxy up to a moment: what senders sent and were told, and what destinations have. Built from marks. */
export class JournalWitness {
  readonly senders: SenderState[];
  readonly taken: Record<WriterName, Seen[]> = { ops: [], picky: [], away: [] };

  /** Events that a sender was asked for again although they were settled. */
  lost = 0;

  constructor(senders: readonly SenderState[]) {
    this.senders = senders.map((sender) => ({ ...sender }));
  }

  take(mark: string): void {
    const [word, name, rest] = split(mark);
    const sender = this.senders.find(({ tag }) => tag === name);
    if (word === 'taken') for (const seen of JSON.parse(rest) as Seen[]) this.taken[name as WriterName].push(seen);
    else if (word === 'sent') sender!.sent = Math.max(sender!.sent, Number(rest));
    else if (word === 'acked') sender!.acked = Number(rest);
    else if (word === 'asked') {
      this.lost += Math.max(0, sender!.acked - Number(rest) + 1);
      sender!.acked = Number(rest) - 1;
    }
  }

  /** As it is now, whatever is taken later. */
  copy(): JournalWitness {
    const copy = new JournalWitness(this.senders);
    copy.lost = this.lost;
    for (const name of WRITERS) copy.taken[name].push(...this.taken[name]);
    return copy;
  }
}

function split(mark: string): [string, string, string] {
  const first = mark.indexOf(' ');
  const second = mark.indexOf(' ', first + 1);
  return first < 0 ? [mark, '', ''] : [mark.slice(0, first), mark.slice(first + 1, second), mark.slice(second + 1)];
}
