/** What every writer has to keep, as cases for any test runner. Each opens a destination of its own, and closes it. */
import type { Writer } from '../core/writer.ts';
import type { EventInput } from './deliveries.ts';
import { FAULTS } from './contract/faults.ts';
import { HANDING_OVER } from './contract/handing-over.ts';
import type { Received, ReceivedField, Resend } from './contract/received.ts';
import { REPEATS } from './contract/repeats.ts';
import { Scene, type Hook } from './contract/scene.ts';
import { STOPPING } from './contract/stopping.ts';

/**
 * A destination for the contract: the real thing, or a server in the test that takes events as the real one does. What `open` gives is handed to
 * all else. The hooks that are optional make it misbehave; a case that needs one that is not there is left out, and says so.
 */
export interface WriterContractOptions<D = unknown> {
  /** Opens a destination that is empty; called once for each case. */
  open(): D | Promise<D>;
  /** A writer to it. Called again for the same destination, it is the writer of a proxy that was started again. */
  openWriter(destination: D): Writer | Promise<Writer>;
  /** All events that it has, in the order in which it got them. */
  received(destination: D): readonly Received[] | Promise<readonly Received[]>;
  close(destination: D): void | Promise<void>;
  /** What becomes of a batch that comes again; `at-least-once` unless told. */
  readonly resend?: Resend;
  /** The fields that it keeps, beside `id`; all unless told. */
  readonly keeps?: readonly ReceivedField[];
  /** Events of your own that have to arrive as they are: JSON texts as for `fondaco record`, beside what the contract has. */
  readonly lines?: readonly string[];
  /** How long anything may take, ms; 10,000, as long as a proxy waits for a write that it has aborted. */
  readonly withinMs?: number;

  /** A writer to a place where nobody listens. */
  openUnreachable?(): Writer | Promise<Writer>;
  /** What was taken as it came, in order: requests, lines, messages. Of a batch that comes again they have to be the same. */
  payloads?(destination: D): readonly (Uint8Array | string)[] | Promise<readonly (Uint8Array | string)[]>;
  /** From now on it takes bytes, or not even these, and answers nothing. */
  hang?(destination: D): unknown;
  /** After `hang`: it answers what comes from now on. */
  recover?(destination: D): unknown;
  /** From now on each answer takes its time, but less than the writer gives it. */
  slow?(destination: D): unknown;
  /** It takes what comes next, once, and the connection breaks before its answer. */
  loseReply?(destination: D): unknown;
  /** It takes so many events more, fails once with what passes (no room, say), and takes all after that. */
  failAfter?(destination: D, count: number): unknown;
  /** Gives an event that it will never take, and takes all others. */
  poison?(destination: D): EventInput | Promise<EventInput>;
  /** It ends, with every connection, and comes back with what it had; resolves when it takes events again. */
  restart?(destination: D): unknown;
}

/** One thing that a writer has to keep. */
export interface ContractCase {
  readonly name: string;
  /** Why it is left out: the hook that it needs is not there. `false` where it can be run. */
  readonly skip: string | false;
  /** Resolves when it holds; rejects with an Error that says what was expected, and what came. Takes nothing, and needs no `this`. */
  readonly run: () => Promise<void>;
}

/** A case as it is written down. */
export interface CaseOf {
  readonly name: string;
  readonly needs?: readonly Hook[];
  readonly run: (scene: Scene, options: WriterContractOptions) => Promise<void>;
}

/**
 * All cases, in order, those that are left out as well:
 *
 *     for (const { name, skip, run } of writerContract(options)) (skip ? it.skip : it)(name, run);     // mocha, vitest, jest
 *     for (const { name, skip, run } of writerContract(options)) test(name, { skip }, run);            // node:test
 */
export function writerContract<D>(options: WriterContractOptions<D>): readonly ContractCase[] {
  for (const name of ['open', 'openWriter', 'received', 'close'] as const) {
    if (typeof options[name] !== 'function') throw new TypeError(`writerContract needs a function ${name}, got ${typeof options[name]}`);
  }
  const erased = options as WriterContractOptions;
  return [...HANDING_OVER, ...REPEATS, ...STOPPING, ...FAULTS].map((each) => contractCase(each, erased));
}

function contractCase({ name, needs = [], run }: CaseOf, options: WriterContractOptions): ContractCase {
  const missing = needs.filter((hook) => options[hook] === undefined);
  if (missing.length === 0) return { name, skip: false, run: async () => runCase(run, options) };
  const skip = `left out: the destination has no ${missing.join(', ')}`;
  return {
    name: `${name} (${skip})`,
    skip,
    run: async () => {
      throw new Error(skip);
    },
  };
}

async function runCase(run: CaseOf['run'], options: WriterContractOptions): Promise<void> {
  const scene = await Scene.open(options);
  try {
    await run(scene, options);
  } catch (error) {
    await scene.close().catch(() => undefined); // what went wrong first is what matters
    throw error;
  }
  await scene.close();
}
