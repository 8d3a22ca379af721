/** Several lives of a process on one disk as traces, and the walk through them that cuts the power at chosen moments. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CutDisk, restore, type CutState } from './cut-disk.ts';
import { traceFiles, type FileOperation } from './file-trace.ts';

/** What was going on when the power was cut. */
export const MOMENTS = ['at a confirmation', 'at a change of names', 'at any moment'] as const;
export type Moment = (typeof MOMENTS)[number];

export interface Cut {
  readonly moment: Moment;
  readonly state: CutState;
}

export interface Life {
  /** On what the life before left when the power was cut, instead of on what its process left. */
  readonly start: CutState | undefined;
  readonly operations: readonly FileOperation[];
}

export interface LifePlan {
  readonly script: string;
  /** What the script is given, for the folder of its files and the file of its marks. */
  order(folder: string, marks: string): object;
  /** The power is cut in the last part of it, and the next life begins on what is left; else the next one begins on what the process left. */
  readonly isCut: boolean;
}

const OPTIONS = { isOrdered: true } as const;

export class PowerRecording {
  readonly lives: Life[] = [];
  readonly #base: string;
  readonly #random: () => number;
  readonly #onMark: (mark: string) => void;
  #folder = '';
  #left: CutState | undefined;
  #disk = new CutDisk();

  /** `onMark`: told of every mark that counts, in order, as lives are recorded. */
  constructor(base: string, random: () => number, onMark: (mark: string) => void) {
    this.#base = base;
    this.#random = random;
    this.#onMark = onMark;
  }

  /** Runs one more life. Rejects if it ends in a way that was not planned: without a last mark. */
  async record({ script, order, isCut }: LifePlan): Promise<void> {
    const number = this.lives.length + 1;
    const start = this.#left;
    if (this.#folder === '' || start) {
      this.#folder = join(this.#base, `disk-${number}`);
      await mkdir(this.#folder, { recursive: true });
    }
    if (start) await restore(start, this.#folder);
    const marks = join(this.#base, `marks-${number}`);
    const args = ['--import', 'tsx', script, JSON.stringify(order(this.#folder, marks))];
    const { operations, stderr } = await traceFiles({ folder: this.#folder, marks, args });
    if (stderr !== '') throw new Error(`life ${number} must end well, got ${stderr}`);
    const end = isCut ? Math.floor(operations.length * (0.5 + this.#random() / 2)) : operations.length;
    this.lives.push({ start, operations: operations.slice(0, end) });
    if (start) this.#disk = CutDisk.of(start);
    for (const operation of this.lives.at(-1)!.operations) {
      this.#disk.apply(operation);
      if (operation.kind === 'mark') this.#onMark(operation.text);
    }
    this.#left = isCut ? this.#disk.cut({ ...OPTIONS, random: this.#random }) : undefined;
  }

  /** Cuts the power `count` times, in order; told of the marks between. */
  async *cuts(count: number, onMark: (mark: string) => void): AsyncIterable<Cut> {
    const moments = this.#choose(count);
    let disk = new CutDisk();
    for (const [number, { start, operations }] of this.lives.entries()) {
      if (start) disk = CutDisk.of(start);
      for (const [at, operation] of operations.entries()) {
        disk.apply(operation);
        if (operation.kind === 'mark') onMark(operation.text);
        for (const moment of moments.get(`${number}/${at}`) ?? []) yield { moment, state: disk.cut({ ...OPTIONS, random: this.#random }) };
      }
    }
  }

  /** A third each at confirmations, at changes of names (of which there are few), and anywhere. */
  #choose(count: number): Map<string, Moment[]> {
    const places: Record<Moment, string[]> = { 'at a confirmation': [], 'at a change of names': [], 'at any moment': [] };
    for (const [number, { operations }] of this.lives.entries()) {
      for (const [at, { kind }] of operations.entries()) {
        const place = `${number}/${at}`;
        places['at any moment'].push(place);
        if (kind === 'mark') places['at a confirmation'].push(place);
        else if (/^(create|makeDirectory|remove|rename|link|synced)$/.test(kind)) places['at a change of names'].push(place);
      }
    }
    const chosen = new Map<string, Moment[]>();
    for (let i = 0; i < count; i++) {
      const moment = MOMENTS[i % MOMENTS.length]!;
      const place = places[moment][Math.floor(this.#random() * places[moment].length)]!;
      chosen.set(place, [...(chosen.get(place) ?? []), moment]);
    }
    return chosen;
  }
}
