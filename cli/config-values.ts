/** Values of the config as a person writes them: what the proxy reads as milliseconds or bytes has its unit again. */
import type { z } from 'zod';
import { formatAddress, type ListenAddress } from '../proxy/address.ts';

export type AnySchema = z.core.$ZodType;

const DURATIONS: readonly (readonly [unit: string, ms: number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
];
const SIZES: readonly (readonly [unit: string, bytes: number])[] = [
  ['TiB', 1024 ** 4],
  ['GiB', 1024 ** 3],
  ['MiB', 1024 ** 2],
  ['KiB', 1024],
];

/** What a leaf is: of writers/settings.ts. */
export type LeafKind = 'duration' | 'size' | 'mode' | 'other';

/** The kind of a leaf, told by the pattern of its JSON Schema. */
export function leafKind(pattern: unknown): LeafKind {
  if (typeof pattern !== 'string') return 'other';
  if (pattern.includes('(ms|s|m|h|d)')) return 'duration';
  if (pattern.includes('[0-7]{3}')) return 'mode';
  return pattern.includes('iB)') ? 'size' : 'other';
}

/** A value that the proxy fills in, in the form that the config has it. */
export function writtenForm(value: unknown, kind: LeafKind): unknown {
  if (typeof value === 'number' && kind === 'duration') return inUnits(value, DURATIONS, 'ms');
  if (typeof value === 'number' && kind === 'size') return inUnits(value, SIZES, 'B');
  if (typeof value === 'number' && kind === 'mode') return `0${value.toString(8).padStart(3, '0')}`;
  return isAddress(value) ? formatAddress(value) : value;
}

function inUnits(value: number, units: readonly (readonly [string, number])[], smallest: string): string {
  const [unit, scale] = units.find(([, each]) => value >= each && value % each === 0) ?? [smallest, 1];
  return value === 0 && smallest === 'ms' ? '0s' : `${value / scale}${unit}`;
}

function isAddress(value: unknown): value is ListenAddress {
  return typeof value === 'object' && value !== null && (('host' in value && 'port' in value) || 'path' in value);
}
