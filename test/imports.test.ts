import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = dirname(import.meta.dirname);
/** A folder may import from itself and from those to its right. */
const ORDER = ['scripts', 'release', 'compat-matrix', 'images'];

interface Import {
  readonly file: string;
  readonly from: string;
}

function importsOf(folder: string): Import[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.includes('node_modules'))
    .flatMap((name) => {
      const file = join(folder, name);
      const text = readFileSync(join(ROOT, file), 'utf8');
      return [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(([, from = '']) => ({ file, from }));
    });
}

/** The top-level folder an import reaches into, or undefined for a package. */
function target({ file, from }: Import): string | undefined {
  if (!from.startsWith('.')) return undefined;
  return relative(ROOT, normalize(join(ROOT, dirname(file), from))).split('/')[0];
}

test.each(ORDER)('%s imports only what lies below it', (folder) => {
  const allowed = ORDER.slice(ORDER.indexOf(folder));
  const wrong = importsOf(folder).filter((i) => {
    const to = target(i);
    return to !== undefined && !allowed.includes(to);
  });
  expect(wrong).toEqual([]);
});

test('the rule sees imports at all, and would see a wrong one', () => {
  expect(importsOf('scripts').some((i) => target(i) === 'images')).toBe(true);
  expect(target({ file: 'images/a.ts', from: '../release/b.ts' })).toBe('release');
});

test('only images/process.ts starts processes', () => {
  const starters = ORDER.flatMap(importsOf).filter(({ from }) => /^(node:)?child_process$|^zx$/.test(from));
  expect([...new Set(starters.map(({ file }) => file))]).toEqual(['images/process.ts']);
});
