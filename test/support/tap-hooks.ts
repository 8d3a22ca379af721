import type { WriterContractOptions } from '../../testing/writer-contract.ts';
import type { TcpTap } from './tcp-tap.ts';

/** A real server, with a tap before it. */
export interface Tapped {
  readonly tap: TcpTap;
}

type Hooks<D> = Pick<Required<WriterContractOptions<D>>, 'close' | 'hang' | 'recover' | 'slow' | 'loseReply' | 'restart'>;

const SLOW_MS = 5;

/** What a tap can do to the writers behind it. `isWhole`: these bytes of a client, all since then, make the server take a batch. */
export function tapHooks<D extends Tapped>(isWhole: (sent: Buffer) => boolean): Hooks<D> {
  return {
    close: async ({ tap }) => tap.close(),
    hang: ({ tap }) => (tap.isHanging = true),
    // What it kept back is lost, so no connection can go on.
    recover: ({ tap }) => {
      tap.isHanging = false;
      tap.cut();
    },
    slow: ({ tap }) => (tap.slowMs = SLOW_MS),
    loseReply: ({ tap }) => {
      const before = tap.sent.length;
      tap.cutAnswer = () => {
        if (!isWhole(Buffer.concat(tap.sent.slice(before)))) return undefined;
        tap.cutAnswer = undefined;
        return 0;
      };
    },
    // As a server that is stopped ends them; it comes back at once.
    restart: ({ tap }) => tap.cut(),
  };
}
