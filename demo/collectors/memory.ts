import { freemem, totalmem } from 'node:os';
import { poll, type Collector } from './collector.ts';
import { Threshold } from './threshold.ts';

export interface MemoryParts {
  /** Bytes that programs may still have. */
  readonly available: () => number;
  readonly totalBytes: number;
}

/** host.MemoryHigh (warn) when `high` percent of the memory is in use, host.MemoryNormal (info) when it is five points below that. */
export function memoryCollector(high: number, { available, totalBytes }: MemoryParts = machine()): Collector {
  return {
    name: 'memory',
    run: (parts, signal) => {
      const threshold = new Threshold(high, high - 5);
      const object = { kind: 'Host', name: 'memory' };
      const look = (): void => {
        const usedPercent = (1 - available() / totalBytes) * 100;
        const crossing = threshold.next(usedPercent);
        if (crossing === undefined) return;
        const [type, severity] = crossing === 'up' ? (['host.MemoryHigh', 'warn'] as const) : (['host.MemoryNormal', 'info'] as const);
        const message = `${usedPercent.toFixed(0)} % of the memory is in use (limit ${high} %)`;
        parts.record(type, severity, message, { object, attributes: { usedPercent: round(usedPercent), totalBytes, limit: high } });
      };
      return poll(look, parts, signal);
    },
  };
}

function machine(): MemoryParts {
  return { available: freemem, totalBytes: totalmem() }; // on Linux freemem() is MemAvailable
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
