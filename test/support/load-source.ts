import { fileURLToPath } from 'node:url';
import type { LoadAnswer, LoadCommand, LoadOrder } from './load-agent.ts';
import { Child } from './processes.ts';
import { until } from './until.ts';

const AGENT = fileURLToPath(new URL('load-agent.ts', import.meta.url));

/** A process that records much, on command (load-agent.ts). */
export class LoadSource {
  readonly child: Child;
  #answers = 0;

  /** Resolves when its recorder is open. */
  static async start(order: LoadOrder): Promise<{ source: LoadSource; opened: LoadAnswer }> {
    const source = new LoadSource(Child.script(AGENT, [JSON.stringify(order)]));
    return { source, opened: await source.answer(60_000) };
  }

  private constructor(child: Child) {
    this.child = child;
  }

  tell(command: LoadCommand): void {
    this.child.process.stdin!.write(`${JSON.stringify(command)}\n`);
  }

  /** Resolves with the answer; rejects when the process ends before, or takes longer. */
  async ask(command: LoadCommand, limitMs = 60_000): Promise<LoadAnswer> {
    this.tell(command);
    return this.answer(limitMs);
  }

  /** The answer to what was told last. */
  async answer(limitMs: number): Promise<LoadAnswer> {
    const wanted = ++this.#answers;
    let answer: LoadAnswer | undefined;
    await until(
      'the recording process answers',
      () => {
        if (this.child.process.exitCode !== null && this.#lines().length < wanted) throw new Error(`it ended: ${this.child.stderr}`);
        answer = this.#lines()[wanted - 1];
        return answer !== undefined;
      },
      limitMs,
    );
    return answer!;
  }

  async end(): Promise<void> {
    await this.child.kill('SIGKILL');
  }

  #lines(): LoadAnswer[] {
    return this.child.lines('recorded') as unknown as LoadAnswer[];
  }
}
