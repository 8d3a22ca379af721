import type { z } from 'zod';
import { comesLater } from './config-schema.ts';
import { showPath, type ConfigText, type KeyPath } from './config-yaml.ts';

const TYPES: Readonly<Record<string, string>> = { object: 'a map', record: 'a map', array: 'a list', string: 'a text' };

/** zod's issues as problems in our words. */
export function reportIssues(text: ConfigText, issues: readonly z.core.$ZodIssue[], prefix: KeyPath): void {
  for (const issue of issues) {
    const path = [...prefix, ...issue.path];
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) {
        const whole = [...path, key];
        const what = comesLater(whole) ? 'comes with a later version, this one knows' : 'is unknown, expected any of';
        text.keyProblem(whole, `${showPath(whole)} ${what} ${issue.message}`);
      }
    } else if (issue.code === 'invalid_key') {
      const [inner] = issue.issues;
      text.keyProblem(path, `${showPath(path)} must be ${inner?.message ?? 'another key'}, got ${JSON.stringify(String(path.at(-1)))}`);
    } else text.mustBe(path, expected(issue));
  }
}

/** What an issue's key must be, in our words. */
export function expected(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'custom':
      return issue.message;
    case 'invalid_type':
      return TYPES[issue.expected] ?? issue.expected;
    case 'invalid_union':
      return 'one of backoff, constant, suspend, dead-letter';
    case 'too_big':
      return `a list of at most ${issue.maximum}`;
    case 'too_small':
      return `a list of at least ${issue.minimum}`;
    default:
      return issue.message;
  }
}

/** A member of what may not be a map. */
export function member(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
}
