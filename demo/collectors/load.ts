import { availableParallelism, loadavg, platform } from 'node:os';
import { poll, type Collector } from './collector.ts';
import { Threshold } from './threshold.ts';

export interface LoadParts {
  /** Load of the last minute. */
  readonly load: () => number;
  readonly cores: number;
}

/** host.LoadHigh (warn) when the load of the last minute reaches `high` a core, host.LoadNormal (info) when it is below four fifths of that. */
export function loadCollector(high: number, { load, cores }: LoadParts = machine()): Collector {
  return {
    name: 'load',
    run: (parts, signal) => {
      const threshold = new Threshold(high, high * 0.8);
      const object = { kind: 'Host', name: 'load' };
      const look = (): void => {
        const value = load();
        const crossing = threshold.next(value / cores);
        if (crossing === undefined) return;
        const [type, severity] = crossing === 'up' ? (['host.LoadHigh', 'warn'] as const) : (['host.LoadNormal', 'info'] as const);
        const message = `load is ${value.toFixed(2)} on ${cores} ${cores === 1 ? 'core' : 'cores'} (limit ${high} a core)`;
        parts.record(type, severity, message, { object, attributes: { load: value, cores, limit: high } });
      };
      return poll(look, parts, signal);
    },
  };
}

function machine(): LoadParts {
  return {
    load: () => {
      if (platform() === 'win32') throw new Error('this system knows no load average');
      return loadavg()[0]!;
    },
    cores: availableParallelism(),
  };
}
