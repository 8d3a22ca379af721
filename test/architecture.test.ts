import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { assert } from 'chai';
import { importProblems, layoutProblems } from './support/import-rules.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Not ours, or not source. */
const SKIPPED = new Set(['node_modules', 'dist', 'packed', 'data', 'coverage']);

describe('architecture', () => {
  it('keeps imports going one way, packages in their homes, and .ts on relative imports', () => {
    assertNone(sourceFiles().flatMap((file) => importProblems(file, read(file))));
  });

  it('keeps files short and folders named after what is in them', () => {
    assertNone(sourceFiles().flatMap((file) => layoutProblems(file, read(file))));
  });

  describe('the rules themselves', () => {
    const forbidden: [file: string, text: string, says: string][] = [
      ['core/a.ts', `import { b } from '../proto/b.ts';`, 'core/ may import nothing of ours'],
      ['core/a.ts', `import { b } from './b';`, 'names the file with its ending'],
      ['core/a.ts', `import { b } from './b.js';`, 'names the file with its ending'],
      ['journal/a.ts', `import type { b } from '../dispatcher/b.ts';`, 'only core, not dispatcher/'],
      ['dispatcher/a.ts', `export * from '../journal/b.ts';`, 'only core, not journal/'],
      ['dispatcher/feed/a.ts', `const b = await import('../../writers/b.ts');`, 'only core, not writers/'],
      ['writers/a.ts', `import { b } from '../dispatcher/b.ts';`, 'only core, proto, not dispatcher/'],
      ['recorder/a.ts', `import { b } from '../proxy/b.ts';`, 'never import each other'],
      ['proxy/inputs/a.ts', `import { b } from '../../recorder/b.ts';`, 'never import each other'],
      ['cli/a.ts', `import { b } from '../demo/b.ts';`, 'demo/ is not shipped'],
      ['proxy/a.ts', `import { b } from '../test/support/b.ts';`, 'test/ is not shipped'],
      ['proxy/a.ts', `import { b } from 'fondaco/recorder';`, 'our own package'],
      ['proxy/a.ts', `import { Level } from 'level';`, 'only journal/ knows the disk format'],
      ['writers/a.ts', `import { Client } from '@grpc/grpc-js';`, 'gRPC belongs to proto/'],
    ];
    for (const [file, text, says] of forbidden) {
      it(`refuses ${text} in ${file}`, () => {
        const problems = importProblems(file, `// a line before\n${text}\n`);
        assert.lengthOf(problems, 1);
        assert.include(problems[0], says);
        assert.isTrue(problems[0]?.startsWith(`${file}:2: `), problems[0]);
      });
    }

    const allowed: [file: string, text: string][] = [
      ['dispatcher/feed/a.ts', `import { b } from '../../core/b.ts';`],
      ['journal/a.ts', `import { Level } from 'level';`],
      ['proto/a.ts', `import { Client } from '@grpc/grpc-js';`],
      ['proxy/inputs/a.ts', `import { Server } from '@grpc/grpc-js';`],
      ['cli/a.ts', `const b = await import('../proxy/b.ts');`],
      ['test/a.ts', `import { Level } from 'level';`],
    ];
    for (const [file, text] of allowed) {
      it(`allows ${text} in ${file}`, () => {
        assert.deepEqual(importProblems(file, text), []);
      });
    }

    it('refuses vague folders, folders without a rule, and long files', () => {
      assert.include(layoutProblems('proxy/utils/a.ts', '')[0], 'a folder called utils');
      assert.include(layoutProblems('lib/a.ts', '')[0], 'has no import rule');
      assert.include(layoutProblems('core/a.ts', 'x\n'.repeat(401))[0], '401 lines, at most 400');
      assert.deepEqual(layoutProblems('core/a.ts', 'x\n'.repeat(400)), []);
    });
  });
});

function sourceFiles(folder = ''): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    if (entry.name.startsWith('.') || SKIPPED.has(entry.name)) return [];
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return sourceFiles(path);
    return /\.tsx?$/.test(entry.name) ? [path] : [];
  });
}

function read(file: string): string {
  return readFileSync(join(root, file), 'utf8');
}

function assertNone(problems: string[]): void {
  if (problems.length > 0) assert.fail(`${problems.length} found:\n${problems.map((problem) => `  ${problem}`).join('\n')}\n`);
}
