import fc from 'fast-check';
import type { LossCause } from '../../../core/batch.ts';
import type { WriteFate } from '../../../journal/memory-journal.ts';
import type { Filter } from '../../../dispatcher/feed/filter.ts';

export const FILTERS: readonly Filter[] = [{}, { minSeverity: 'warn' }, { types: ['test.*'] }];
export const ANSWERS = ['takes', 'takes', 'away', 'refuses', 'hates 3', 'hates all', 'too large', 'hangs'] as const;
export type Answer = (typeof ANSWERS)[number];
/** What a sender may have lost before it could send it; a removed spool is `corrupt`. */
export const CAUSES = ['spool-full', 'memory-full', 'corrupt'] as const satisfies LossCause[];
export const WRITERS = ['one', 'two'] as const;
export type WriterName = (typeof WRITERS)[number];

export type Step =
  | { readonly kind: 'record'; readonly texts: readonly number[] }
  | { readonly kind: 'lose'; readonly count: number; readonly cause: LossCause }
  | { readonly kind: 'answer'; readonly writer: WriterName; readonly answer: Answer }
  | { readonly kind: 'fate'; readonly fate: WriteFate; readonly after: number }
  | { readonly kind: 'time'; readonly ms: number }
  | { readonly kind: 'kill' | 'stop' | 'damage' | 'restore'; readonly n: number }
  | { readonly kind: 'replay' | 'purge'; readonly writer: WriterName; readonly n: number }
  | { readonly kind: 'copy' | 'verify' };

const kind = <Kind extends Step['kind']>(...kinds: Kind[]): fc.Arbitrary<Kind> => fc.constantFrom(...kinds);
const n = fc.nat(99);
const writer = fc.constantFrom(...WRITERS);

export const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    // Texts 0 to 5 are of one type, from 8 on they are urgent, 11 is no event.
    { weight: 7, arbitrary: fc.record({ kind: kind('record'), texts: fc.array(fc.nat(11), { minLength: 1, maxLength: 8 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: kind('lose'), count: fc.integer({ min: 1, max: 4 }), cause: fc.constantFrom(...CAUSES) }) },
    { weight: 5, arbitrary: fc.record({ kind: kind('answer'), writer, answer: fc.constantFrom(...ANSWERS) }) },
    {
      weight: 2,
      arbitrary: fc.record({ kind: kind('fate'), fate: fc.constantFrom<WriteFate>('failed', 'failed-but-stored'), after: fc.nat(4) }),
    },
    { weight: 5, arbitrary: fc.record({ kind: kind('time'), ms: fc.constantFrom(0, 60, 1100, 6000) }) },
    { weight: 3, arbitrary: fc.record({ kind: kind('kill', 'kill', 'stop', 'damage'), n }) },
    { weight: 2, arbitrary: fc.record({ kind: kind('replay', 'purge'), writer, n: fc.nat(3) }) },
    { weight: 1, arbitrary: fc.oneof(fc.record({ kind: kind('copy', 'verify') }), fc.record({ kind: kind('restore'), n })) },
  ),
  { minLength: 5, maxLength: 45, size: 'max' },
);
