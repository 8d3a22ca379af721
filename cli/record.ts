import { hostname } from 'node:os';
import { systemClock } from '../core/clock.ts';
import { asError, FondacoError, isFondacoError } from '../core/errors.ts';
import { parseEvent, type InputDefaults } from '../core/event-input.ts';
import { Recorder } from '../recorder/recorder.ts';
import { recorderSecurity, type CredentialFlags } from './connection.ts';
import { EXIT } from './exit.ts';
import { openInput, type Input } from './input.ts';
import { readLines } from '../core/ndjson.ts';
import { openProgress } from './progress.ts';
import { count, print, printJson } from './text.ts';

export interface RecordFlags extends CredentialFlags {
  readonly type?: string;
  readonly severity?: string;
  readonly message?: string;
  readonly time?: string;
  readonly objectKind?: string;
  readonly objectName?: string;
  readonly objectNamespace?: string;
  readonly objectTenant?: string;
  readonly objectUri?: string;
  /** JSON text. */
  readonly attributes?: string;
  readonly dedupKey?: string;
  readonly traceparent?: string;
  readonly node?: string;
  readonly component: string;
  readonly file?: string;
  readonly proxy?: string;
  /** A directory; false for none. */
  readonly spool?: string | boolean;
  readonly json?: boolean;
}

/** Text that is handed over before it is waited for, in bytes: well below what a recorder holds in memory. */
const FLUSH_BYTES = 4 * 1024 * 1024;

/**
 * Records one event from flags, or every line of a file or of stdin. Bad lines are named and passed over. Resolves when all of it is with
 * the proxy or on disk; rejects UNAVAILABLE if it is neither, with exit code 66 if the file cannot be read.
 */
export async function recordEvents(flags: RecordFlags): Promise<void> {
  const { node = hostname(), component, proxy, spool } = flags;
  const source = flags.type === undefined ? await openInput(flags.file) : undefined;
  const defaults = { node, component };
  const told = new Set<Error>();
  const recorder = await Recorder.open({
    component,
    node,
    ...(proxy === undefined ? {} : { proxy }),
    ...recorderSecurity(flags, process.env),
    ...(spool === false ? { spool: false } : typeof spool === 'string' ? { spool: { directory: spool } } : {}),
    closeOn: ['SIGINT', 'SIGTERM'],
    onError: (error) => {
      if (!told.delete(error)) process.stderr.write(`fondaco: ${error.text}\n`);
    },
  });
  /** Says what is wrong with the input and counts it, so that the ledger has it too. */
  const refuse = (error: FondacoError, place: string): void => {
    process.stderr.write(`${place}: ${error.text}\n`);
    told.add(error);
    recorder.countRefused([error]);
  };
  let flushed: Error | undefined;
  try {
    if (source) await recordLines(recorder, source, defaults, refuse);
    else recordOne(recorder, flags, defaults, refuse);
    await recorder.flush();
  } catch (error) {
    if (!isFondacoError(error)) throw error;
    flushed = error;
  } finally {
    await source?.close();
  }
  await finish(recorder, flushed, flags.json === true);
}

/** Closes the recorder and says what became of the events. */
async function finish(recorder: Recorder, flushed: Error | undefined, isJson: boolean): Promise<void> {
  let problem = flushed;
  try {
    await recorder.close();
    problem = undefined; // what a flush had no time for, the close has put on disk
  } catch (error) {
    problem ??= asError(error);
  }
  const { ledger, spool, older } = recorder.status();
  if (isJson) printJson(ledger);
  else {
    const parts = [`recorded ${count(ledger.recorded)}`, `${count(ledger.settled)} with the proxy`];
    if (ledger.spooled > 0)
      parts.push(`${count(ledger.spooled)} on disk in ${spool.directory ?? '?'}, sent when a proxy answers the next recorder`);
    if (ledger.dropped > 0) parts.push(`${count(ledger.dropped)} dropped`);
    if (ledger.rejected > 0) parts.push(`${count(ledger.rejected)} refused`);
    if (older.settled > 0) parts.push(`and ${count(older.settled)} that had waited in the spool`);
    if (older.events > 0) parts.push(`${count(older.events)} of earlier runs still wait in it`);
    print(parts.join(', '));
  }
  if (problem) throw problem;
  if (ledger.queued > 0 || ledger.dropped > 0) {
    throw new FondacoError(
      'UNAVAILABLE',
      `${count(ledger.queued + ledger.dropped)} events are neither with a proxy nor on disk: they are lost`,
    );
  }
  if (ledger.rejected > 0) process.exitCode = EXIT.badInput;
}

type Refuse = (error: FondacoError, place: string) => void;

function recordOne(recorder: Recorder, flags: RecordFlags, defaults: InputDefaults, refuse: Refuse): void {
  try {
    recorder.takeChecked([parseEvent(eventText(flags), { ...defaults, severity: 'info' }, systemClock().now())], 0);
  } catch (error) {
    if (!isFondacoError(error)) throw error;
    refuse(error, 'fondaco');
  }
}

/** The event of the flags in its input form, the attributes' text as it was typed. */
function eventText(flags: RecordFlags): string {
  const { type, severity, message = '', time, dedupKey, traceparent, attributes } = flags;
  const object = Object.fromEntries(
    (['Kind', 'Name', 'Namespace', 'Tenant', 'Uri'] as const)
      .map((field) => [field.toLowerCase(), flags[`object${field}`]] as const)
      .filter(([, value]) => value !== undefined),
  );
  const event = { type, severity, message, time, dedupKey, traceparent, ...(Object.keys(object).length > 0 && { object }) };
  if (attributes === undefined) return JSON.stringify(event);
  try {
    JSON.parse(attributes);
  } catch (error) {
    throw new FondacoError('REJECTED', `--attributes must be a JSON object, ${asError(error).message}`, { cause: error });
  }
  return JSON.stringify(event).replace(/}$/, () => `,"attributes":${attributes}}`);
}

async function recordLines(recorder: Recorder, input: Input, defaults: InputDefaults, refuse: Refuse): Promise<void> {
  const clock = systemClock();
  const progress = await openProgress('recording', input.size ?? 0, 'bytes');
  let since = 0;
  try {
    for await (const { number, text, problem, end } of readLines(input.bytes)) {
      try {
        if (problem !== undefined) throw new FondacoError('REJECTED', problem);
        recorder.takeChecked([parseEvent(text, defaults, clock.now())], 0);
      } catch (error) {
        if (!isFondacoError(error)) throw error;
        progress.above(() => refuse(error, `${input.name}:${number}`));
      }
      if (end - since < FLUSH_BYTES) continue;
      since = end;
      progress.update(end);
      await recorder.flush();
    }
    progress.update(input.size ?? 0);
  } finally {
    progress.stop();
  }
}
