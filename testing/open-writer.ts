import { isWriterDefinition, type WriterContext, type WriterDefinition } from '../core/define-writer.ts';
import { FondacoError } from '../core/errors.ts';
import type { Writer } from '../core/writer.ts';
import { settingsOf } from '../writers/module-settings.ts';
import { ModuleWriter } from '../writers/module.ts';

const SILENT = { debug: (): void => undefined, info: (): void => undefined, warn: (): void => undefined, error: (): void => undefined };

/**
 * Opens what `defineWriter` made as a proxy opens it with `kind: module`: the settings go through its schema, events are frozen, an error
 * without a code is UNAVAILABLE. Rejects CONFIG for settings that the schema refuses, or with what `open` rejects with.
 */
export async function openWriter<Settings>(
  definition: WriterDefinition<Settings>,
  settings?: unknown,
  context: Partial<WriterContext> = {},
): Promise<Writer> {
  if (!isWriterDefinition(definition)) throw new FondacoError('CONFIG', 'openWriter must be given what defineWriter made');
  const { name = 'test', logger = SILENT, directory = process.cwd() } = context;
  return ModuleWriter.of(definition, settingsOf(definition, settings), { name, logger, directory, module: name });
}
