/** `fondaco/writer`: what a destination of one's own is made of. */
import { FondacoError } from './errors.ts';
import type { StandardSchema } from './standard-schema.ts';
import type { Writer } from './writer.ts';

export { FondacoError, isFondacoError, type ErrorCode, type ErrorFacts } from './errors.ts';
export type { EventObject, EventSource, FondacoEvent, JsonObject } from './event.ts';
export type { Lane } from './lane.ts';
export type { Severity } from './severity.ts';
export type { StandardIssue, StandardResult, StandardSchema } from './standard-schema.ts';
export type { Delivery, DeliveryNumber, Writer } from './writer.ts';

/** Facts first, as of pino: `logger.warn({ host }, 'the host is slow')`. Never an event. */
export interface WriterLogger {
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

/** What a writer is told when it is opened. */
export interface WriterContext {
  /** Its name in the config: the identity of the destination. */
  readonly name: string;
  readonly logger: WriterLogger;
  /** Where the config lies: what relative paths in the settings should be relative to. */
  readonly directory: string;
}

/** What a writer's author gives to `defineWriter`. */
export interface WriterDefinition<Settings = unknown> {
  /**
   * Any Standard Schema (zod, valibot, arktype …), synchronous: it looks at nothing but the settings, and is asked by `fondaco config check`
   * too. Without one the writer takes no settings, and `open` gets undefined.
   */
  readonly settings?: StandardSchema<Settings>;
  /**
   * Opens the writer; called before its first write, with what the schema gave. What it throws is a state of this writer and is tried again:
   * CONFIG and REFUSED as a refusal, anything else as UNAVAILABLE.
   */
  open(settings: Settings, context: WriterContext): Writer | Promise<Writer>;
}

/** Of all loaded copies of this package. */
const MADE = Symbol.for('fondaco.writer');

/** The default export of a module for `kind: module`. Throws CONFIG for what is no definition. */
export function defineWriter<Settings>(definition: WriterDefinition<Settings>): WriterDefinition<Settings> {
  const { settings, open } = definition as Partial<WriterDefinition>;
  if (typeof open !== 'function')
    throw new FondacoError('CONFIG', 'a writer must be defined with a function open(settings, { name, logger, directory })');
  if (settings !== undefined && !isStandardSchema(settings)) {
    throw new FondacoError('CONFIG', 'settings of a writer must be a Standard Schema such as z.object({ … }) of zod 4');
  }
  return Object.assign(definition, { [MADE]: true });
}

/** True for what `defineWriter` made, of any copy of this package. */
export function isWriterDefinition(value: unknown): value is WriterDefinition {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, MADE);
}

/** Some libraries' schemas are functions. */
function isStandardSchema(value: unknown): boolean {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return false;
  return typeof (value as Partial<StandardSchema>)['~standard']?.validate === 'function';
}
