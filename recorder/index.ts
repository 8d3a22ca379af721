/// <reference types="node" preserve="true" />
/** `fondaco/recorder`: the library that agents embed. Loads gRPC, and LevelDB only when it first has to spill. */
export {
  CATALOG,
  catalogTypes,
  defineCatalog,
  type Catalog,
  type CatalogFacts,
  type CatalogType,
  type DefinedCatalog,
  type TypeDefinition,
  type TypesOf,
} from '../core/catalog.ts';
export { FondacoError, isFondacoError, type ErrorCode, type ErrorFacts } from '../core/errors.ts';
export type { EventDetails } from '../core/event-input.ts';
export type { EventObject, JsonObject } from '../core/event.ts';
export type { Severity } from '../core/severity.ts';
export { loadCatalogs, type LoadCatalogsOptions } from './load-catalogs.ts';
export type { RecorderOptions, SpoolOptions } from './options.ts';
export { recorder, type ProcessRecorder } from './process-wide.ts';
export { Recorder, type EventRecorder, type Recorded, type RecorderParts } from './recorder.ts';
export type { TlsOptions } from './security.ts';
export type { RecorderLedger, RecorderStatus } from './status.ts';
export type { DurableLevel } from './waiters.ts';
