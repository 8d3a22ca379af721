/** Schedules that once showed a bug: every form of their campaign plays them first. A new one is what the campaign prints when it fails. */
export interface Kept {
  readonly campaign: string;
  /** What the bug was. */
  readonly showed: string;
  /** JSON of the schedule. */
  readonly schedule: string;
}

export const KEPT: readonly Kept[] = [
  {
    campaign: 'simulation',
    showed: 'the first event behind a restart waited for two batch intervals: its delivery series was made after the first',
    schedule: '[[{"does":"stopProxy","n":0},{"does":"killAgent","n":0}],0]',
  },
];
