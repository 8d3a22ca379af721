import { assert } from 'chai';
import { defineCatalog, type Catalog } from '../../recorder/index.ts';
import { GridEvents } from './grid-events.ts';

/** What the compiler is to say of typed constants: each `@ts-expect-error` is an error of the types leg if there is none. None of it runs. */
export function compiled(): void {
  const type: 'grid.BreakerOpened' = GridEvents.BreakerOpened;
  void type;
  // @ts-expect-error no such type
  void GridEvents.BreakerOpend;
  // @ts-expect-error it is another type
  const other: 'grid.BreakerClosed' = GridEvents.BreakerOpened;
  void other;
  // @ts-expect-error it cannot be changed
  GridEvents.BreakerOpened = 'grid.BreakerOpened';
  const any: Catalog = GridEvents;
  void any;
  // @ts-expect-error no such severity
  defineCatalog('a', { B: { severity: 'fatal' } });
  // @ts-expect-error no such key
  defineCatalog('a', { B: { dedup: [] } });
}

describe('the constants of a catalog', () => {
  it('are the types of its events', () => {
    assert.isFunction(compiled);
    assert.deepEqual(Object.values(GridEvents), ['grid.BreakerOpened', 'grid.BreakerClosed', 'grid.PhaseLost', 'grid.constant_9']);
  });
});
