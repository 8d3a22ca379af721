/** Two independent orders; urgent first. */
export type Lane = 'urgent' | 'normal';

export const LANES: readonly Lane[] = ['urgent', 'normal'];

/** A value for each lane. */
export type PerLane<T> = Record<Lane, T>;

export function perLane<T>(make: (lane: Lane) => T): PerLane<T> {
  return { urgent: make('urgent'), normal: make('normal') };
}

/** The lane's number on disk and on the wire. */
export const LANE_NUMBER: Readonly<PerLane<number>> = { urgent: 0, normal: 1 };
