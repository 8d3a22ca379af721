import { assert } from 'chai';
import type { Delivery } from '../../core/writer.ts';
import { defineCatalog, loadCatalogs, Recorder, recorder, type Catalog, type EventRecorder } from '../../recorder/index.ts';
import { MemoryRecorder } from '../../recorder/testing.ts';
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

/** What it is to say of a recorder with catalogs. */
export async function narrowed(): Promise<void> {
  const own = await Recorder.open({ component: 'c', catalogs: [GridEvents, defineCatalog('disk', { Full: {} })] });
  own.event(GridEvents.PhaseLost, undefined, 'm');
  own.event('disk.Full', 'info', 'm');
  await own.record('grid.BreakerOpened', 'info', 'm');
  // @ts-expect-error of no catalog
  own.event('disk.Fulll', 'info', 'm');
  // @ts-expect-error of no catalog
  await own.record('cluster.LeaderElected', 'info', 'm');
  const any = await Recorder.open({ component: 'c' });
  any.event('what.Ever', 'info', 'm');
  const atRunTime = await Recorder.open({ component: 'c', catalogs: await loadCatalogs('cluster.proto') });
  atRunTime.event('what.Ever', 'info', 'm');
  await recorder.open({ component: 'c', catalogs: [GridEvents] });
  recorder.event('what.Ever', 'info', 'm');
  const asAny: Recorder = own;
  void asAny;
}

/** What a library may take, and what it is given. */
export async function passedOn(): Promise<void> {
  const library = (to: EventRecorder): unknown => to.event('what.Ever', 'info', 'm');
  library(recorder);
  library(await Recorder.open({ component: 'c' }));
  library(new MemoryRecorder());
  // @ts-expect-error it is not the library's to close
  const closing: keyof EventRecorder = 'close';
  void closing;
}

/** A writer reads events and changes none. */
export async function written({ event, delivery }: Delivery): Promise<void> {
  // @ts-expect-error writers share it
  event.message = 'mine now';
  // @ts-expect-error writers share it
  delivery.seq = 1;
}

describe('the constants of a catalog', () => {
  it('are the types of its events', () => {
    assert.isFunction(compiled);
    assert.isFunction(narrowed);
    assert.isFunction(passedOn);
    assert.isFunction(written);
    assert.deepEqual(Object.values(GridEvents), ['grid.BreakerOpened', 'grid.BreakerClosed', 'grid.PhaseLost', 'grid.constant_9']);
  });
});
