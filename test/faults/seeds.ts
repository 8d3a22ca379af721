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
  {
    campaign: 'simulation',
    showed: 'a life that began after the wall clock was set back was drained before the one before it',
    schedule:
      '[[{"does":"record","n":157},{"does":"killProxy","n":0},{"does":"goOn","n":388},{"does":"time","n":535},{"does":"killAgent","n":749},{"does":"manner","n":579},{"does":"go","n":261},{"does":"startAgent","n":664},{"does":"startProxy","n":319},{"does":"goOn","n":397},{"does":"go","n":493},{"does":"time","n":784},{"does":"manner","n":770},{"does":"copy","n":53},{"does":"failStore","n":11},{"does":"go","n":211},{"does":"weather","n":119},{"does":"record","n":400},{"does":"flush","n":512},{"does":"time","n":549},{"does":"record","n":937},{"does":"wall","n":317},{"does":"time","n":506},{"does":"record","n":380},{"does":"startAgent","n":263},{"does":"go","n":269},{"does":"cut","n":294},{"does":"closeAgent","n":32},{"does":"manner","n":180},{"does":"time","n":997},{"does":"record","n":153},{"does":"cut","n":823},{"does":"record","n":81},{"does":"manner","n":477},{"does":"go","n":327},{"does":"startProxy","n":800},{"does":"goOn","n":512},{"does":"startAgent","n":906},{"does":"record","n":18},{"does":"record","n":558},{"does":"record","n":822},{"does":"startProxy","n":174},{"does":"cut","n":724},{"does":"startAgent","n":332},{"does":"manner","n":309},{"does":"time","n":160},{"does":"goOn","n":943},{"does":"weather","n":833},{"does":"record","n":143},{"does":"record","n":586},{"does":"closeAgent","n":411},{"does":"time","n":458}],29]',
  },
];
