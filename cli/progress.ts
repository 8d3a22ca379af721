/** A bar on stderr for what takes its time. cli-progress is loaded where there is a terminal to show one. */

export interface Progress {
  /** So much of the total is done. */
  update(done: number): void;
  /** Runs what writes lines to stderr, above the bar. */
  above(write: () => void): void;
  stop(): void;
}

/**
 * `label {bar} 40 %  4/10 unit`, on a terminal and for a total above 0; nothing anywhere else. It changes nothing of the terminal that a SIGKILL
 * would leave changed.
 */
export async function openProgress(label: string, total: number, unit = ''): Promise<Progress> {
  const { stderr } = process;
  if (!stderr.isTTY || total <= 0) return { update: () => undefined, above: (write) => write(), stop: () => undefined };
  const { Presets, SingleBar } = await import('cli-progress');
  const format = `${label} {bar} {percentage} %  {value}/{total}${unit === '' ? '' : ` ${unit}`}`;
  const bar = new SingleBar({ stream: stderr, format, hideCursor: false, linewrap: true, clearOnComplete: true }, Presets.shades_classic);
  bar.start(total, 0);
  return {
    update: (done) => bar.update(done),
    above: (write) => {
      stderr.write('\r\u001b[K');
      write();
      bar.updateETA();
    },
    stop: () => bar.stop(),
  };
}
