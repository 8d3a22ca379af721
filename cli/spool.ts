import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { isFondacoError } from '../core/errors.ts';
import { decodeEvent } from '../core/event-codec.ts';
import { LANES, perLane, type PerLane } from '../core/lane.ts';
import { defaultDirectory } from '../recorder/options.ts';
import { bytesOf, findLives, removeViews, StoppedLife, type Damage, type LifePlace } from '../recorder/stopped-life.ts';
import { repairLife, type LifeRepair } from '../recorder/repair-life.ts';
import { visible } from '../writers/console-line.ts';
import { confirm } from './confirm.ts';
import { EXIT, ExitError } from './exit.ts';
import { inputLine } from './input-line.ts';
import { openOut, type Out } from './export-out.ts';
import { openProgress } from './progress.ts';
import { age, count, plural, print, printJson, table } from './text.ts';

/** A life in a list. */
interface LifeLine extends LifePlace {
  /** Who has it open; a life that is in use cannot be looked into. */
  readonly inUse?: string;
  readonly bytes: number;
  readonly waiting?: PerLane<number>;
  /** The oldest event that waits, by its own time. */
  readonly oldest?: string;
  /** Why it cannot be looked into. */
  readonly problem?: string;
}

/** What a check found. */
interface LifeCheck extends LifePlace {
  readonly inUse?: string;
  readonly problem?: string;
  readonly events?: PerLane<number>;
  readonly damages: readonly Damage[];
}

/** A signal leaves nothing behind. */
function onSignal(signal: NodeJS.Signals): void {
  removeViews();
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, onSignal);

/** Shows every life below a spool directory. */
export async function listSpool(directory: string | undefined, isJson: boolean): Promise<void> {
  const lines: LifeLine[] = [];
  for (const place of await livesIn(directory)) lines.push(await lineOf(place));
  if (isJson) printJson({ directory: spoolDirectory(directory), lives: lines });
  else print(lines.length === 0 ? nothingWaits(directory) : listScreen(lines));
}

/** Reads every entry of the stopped lives. Exits 1 if anything is damaged. Rejects UNAVAILABLE if the only one is in use. */
export async function checkSpool(what: string | undefined, flags: { readonly spool?: string; readonly json?: boolean }): Promise<void> {
  const places = await placesOf(what, flags.spool);
  const checks: LifeCheck[] = [];
  for (const place of places) {
    const check = await checkLife(place, places.length === 1);
    checks.push(check);
    if (flags.json !== true) print(checkScreen(check));
  }
  const isWhole = checks.every(({ damages, problem }) => damages.length === 0 && problem === undefined);
  if (flags.json === true) printJson({ isWhole, lives: checks });
  else if (checks.length === 0) print(nothingWaits(what ?? flags.spool));
  if (!isWhole) process.exitCode = EXIT.attention;
}

/** What a repair did. */
interface LifeRepaired extends LifePlace, Partial<LifeRepair> {
  readonly inUse?: string;
  readonly problem?: string;
}

/**
 * Puts stopped lives right where they are: what is damaged is set aside beside them as evidence, what is missing is declared lost with their
 * next batch. Asks first. Exits 1 if one cannot be repaired. Rejects UNAVAILABLE if the only one is in use.
 */
export async function repairSpool(
  what: string | undefined,
  flags: { readonly spool?: string; readonly json?: boolean; readonly yes?: boolean },
): Promise<void> {
  const places = await placesOf(what, flags.spool);
  const which = plural(places.length, 'stopped life', 'stopped lives');
  const question = `This repairs ${which}: what cannot be read is given up, and set aside beside it as evidence.`;
  if (places.length > 0 && flags.yes !== true && !(await confirm(question))) return;
  const lives: LifeRepaired[] = [];
  for (const place of places) {
    const life = await repairOne(place, places.length === 1);
    lives.push(life);
    if (flags.json !== true) print(repairScreen(life));
  }
  if (flags.json === true) printJson({ lives });
  else if (lives.length === 0) print(nothingWaits(what ?? flags.spool));
  if (lives.some(({ problem }) => problem !== undefined)) process.exitCode = EXIT.attention;
}

/** Writes the events that wait as NDJSON, in the form that `fondaco record --file` takes. They stay in the spool. */
export async function exportSpool(what: string | undefined, flags: { readonly spool?: string; readonly out?: string }): Promise<void> {
  const places = await placesOf(what, flags.spool);
  const out = await openOut(flags.out);
  let exported = 0;
  const damages: Damage[] = [];
  try {
    for (const place of places) {
      const life = await openOrPass(place, places.length === 1);
      if (!life) continue;
      try {
        exported += await exportLife(life, out);
        damages.push(...life.damages);
      } finally {
        await life.close();
      }
    }
    await out.end();
  } catch (error) {
    await out.discard();
    throw error;
  }
  for (const { what: text } of damages) process.stderr.write(`fondaco: ${visible(text)}\n`);
  process.stderr.write(`exported ${plural(exported, 'event')}${flags.out === undefined ? '' : ` to ${flags.out}`}; still in the spool\n`);
  if (damages.length > 0) process.exitCode = EXIT.attention;
}

async function lineOf(place: LifePlace): Promise<LifeLine> {
  const bytes = await bytesOf(place);
  let life: StoppedLife;
  try {
    life = await StoppedLife.open(place);
  } catch (error) {
    if (!isFondacoError(error)) throw error;
    return { ...place, bytes, ...(error.code === 'UNAVAILABLE' ? { inUse: holderIn(error.text) } : { problem: error.text }) };
  }
  try {
    let oldest: string | undefined;
    for (const lane of LANES) {
      for await (const { bytes: event } of life.events(lane)) {
        const { time } = decodeEvent(event, NO_FACTS);
        if (oldest === undefined || time < oldest) oldest = time;
        break;
      }
    }
    return { ...place, bytes, waiting: perLane((lane) => life.waiting(lane)), ...(oldest !== undefined && { oldest }) };
  } catch (error) {
    if (!isFondacoError(error)) throw error;
    return { ...place, bytes, problem: error.text };
  } finally {
    await life.close();
  }
}

async function checkLife(place: LifePlace, isOnly: boolean): Promise<LifeCheck> {
  let life: StoppedLife | undefined;
  try {
    life = await StoppedLife.open(place);
    const events = perLane(() => 0);
    for (const lane of LANES) for await (const event of life.events(lane)) if (event.seq > 0) events[lane]++;
    return { ...place, events, damages: life.damages };
  } catch (error) {
    if (!isFondacoError(error)) throw error;
    if (error.code !== 'UNAVAILABLE') return { ...place, problem: error.text, damages: life?.damages ?? [] };
    if (isOnly) throw error;
    return { ...place, inUse: holderIn(error.text), damages: [] };
  } finally {
    await life?.close();
  }
}

async function repairOne(place: LifePlace, isOnly: boolean): Promise<LifeRepaired> {
  try {
    return { ...place, ...(await repairLife(place)) };
  } catch (error) {
    if (!isFondacoError(error) || (isOnly && error.code === 'UNAVAILABLE')) throw error;
    return { ...place, ...(error.code === 'UNAVAILABLE' ? { inUse: holderIn(error.text) } : { problem: error.text }) };
  }
}

function repairScreen({ component, life, inUse, problem, done = [], events, lost }: LifeRepaired): string {
  const name = `${visible(component)} ${life}`;
  if (inUse !== undefined) return `${name}: in use, not repaired`;
  if (problem !== undefined || !events || !lost) return `${name}: NOT REPAIRED\n  ${visible(problem ?? '')}`;
  if (done.length === 0) return `${name}: there was nothing to repair`;
  const sum = `${plural(events.urgent + events.normal, 'event')} can be sent, ${count(lost.urgent + lost.normal)} are declared lost`;
  return [`${name}: repaired, ${sum}`, ...done.map((line) => `  ${visible(line)}`)].join('\n');
}

async function openOrPass(place: LifePlace, isOnly: boolean): Promise<StoppedLife | undefined> {
  try {
    return await StoppedLife.open(place);
  } catch (error) {
    if (isOnly || !isFondacoError(error, 'UNAVAILABLE')) throw error;
    process.stderr.write(`fondaco: ${error.text}: it is passed over\n`);
    return undefined;
  }
}

async function exportLife(life: StoppedLife, out: Out): Promise<number> {
  const total = life.waiting('urgent') + life.waiting('normal');
  const bar = await openProgress('exporting', out.isTerminal ? 0 : total, 'events');
  let done = 0;
  try {
    for (const lane of LANES) {
      for await (const { seq, bytes } of life.events(lane)) {
        if (!(await out.write(`${inputLine(decodeEvent(bytes, { ...NO_FACTS, id: life.idOf(lane, seq) }), bytes)}\n`))) return done;
        done++;
        bar.update(done);
      }
    }
  } finally {
    bar.stop();
  }
  return done;
}

const NO_FACTS = { id: '', site: '', labels: undefined, receivedTime: '' };

/** A life by its name, those of a component, every life below a directory, or all. Rejects with exit code 64 for a life and 66 for others that are not there. */
async function placesOf(what: string | undefined, spool: string | undefined): Promise<LifePlace[]> {
  if (what === undefined) return livesIn(spool);
  const isLife = /^[0-9a-f-]{36}$/.test(what);
  const isDirectory = !isLife && isThere(what);
  const found = isDirectory ? [] : (await livesIn(spool)).filter(({ life, component }) => (isLife ? life : component) === what);
  if (found.length > 0) return found;
  if (!isLife) return livesIn(what);
  const at = spoolDirectory(spool);
  throw new ExitError(EXIT.usage, `there is no life ${what} in ${at}: fondaco spool list shows what there is`);
}

/** Of a directory that is named, or of the spool's, which is made when something has to wait. */
async function livesIn(given: string | undefined): Promise<LifePlace[]> {
  const at = spoolDirectory(given);
  if (isThere(at)) return findLives(at);
  if (given === undefined) return [];
  throw new ExitError(EXIT.noInput, `there is no directory ${visible(resolve(at))}: fondaco spool list shows what there is`);
}

/** False only where nothing is: what may not be looked at is there. */
function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return true;
  }
}

function nothingWaits(given: string | undefined): string {
  const at = spoolDirectory(given);
  return `nothing waits in ${visible(at)}${isThere(at) ? '' : ' (which is made when something has to)'}`;
}

function spoolDirectory(given: string | undefined): string {
  const directory = given ?? defaultDirectory(process.env);
  if (directory === undefined) throw new ExitError(EXIT.config, 'a directory must be given: this user has no home');
  return directory;
}

function listScreen(lines: readonly LifeLine[]): string {
  const rows = lines.map(({ component, life, inUse, bytes, waiting, oldest }) => [
    visible(component),
    life,
    inUse === undefined ? 'none' : visible(inUse),
    waiting ? count(waiting.urgent) : '-',
    waiting ? count(waiting.normal) : '-',
    count(bytes),
    oldest === undefined ? '-' : `${age(Math.max(0, Date.now() - Date.parse(oldest)))} ago`,
  ]);
  const problems = lines.flatMap(({ life, problem }) => (problem === undefined ? [] : [`${life}: ${visible(problem)}`]));
  const screen = table(['component', 'life', 'in use by', 'urgent', 'normal', 'bytes', 'oldest'], rows, 3);
  return [screen, ...(problems.length === 0 ? [] : ['', ...problems])].join('\n');
}

function checkScreen({ component, life, inUse, problem, events, damages }: LifeCheck): string {
  const name = `${visible(component)} ${life}`;
  if (inUse !== undefined) return `${name}: in use by ${visible(inUse)}, not checked`;
  const lines = [...damages.map(({ what }) => what), ...(problem === undefined ? [] : [problem])];
  const sum = events ? `${count(events.urgent)} urgent and ${count(events.normal)} normal events wait` : 'it cannot be read';
  if (lines.length === 0) return `${name}: whole, ${sum}`;
  return [`${name}: DAMAGED, ${sum}`, ...lines.map((line) => `  ${visible(line)}`)].join('\n');
}

/** Who has it, from the message that says so. */
function holderIn(text: string): string {
  return /it is held by (.+)$/.exec(text)?.[1] ?? text;
}
