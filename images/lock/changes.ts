import type { Lock } from './schema.ts';

/** What a new lock changes, one line each, for people. Empty when nothing did. */
export function lockChanges(before: Lock | undefined, after: Lock): string[] {
  const old = before === undefined ? new Map<string, string>() : inputs(before);
  const now = inputs(after);
  const lines: string[] = [];
  for (const [name, value] of now) {
    const was = old.get(name);
    if (was === undefined) lines.push(`+ ${name} ${value}`);
    else if (was !== value) lines.push(`~ ${name} ${was} -> ${value}`);
  }
  for (const [name, value] of old) if (!now.has(name)) lines.push(`- ${name} ${value}`);
  if (before !== undefined && before.configDigest !== after.configDigest) lines.push('~ the config it was made from');
  return lines;
}

function inputs(lock: Lock): Map<string, string> {
  return new Map([
    ['go', `${lock.go.version} (${Object.values(lock.go.sums).join(' ')})`],
    ...lock.components.map((c): [string, string] => [
      `${c.name} ${c.version}`,
      `${c.sum} modules ${c.modulesDigest.slice('sha256:'.length, 19)}`,
    ]),
    ...Object.entries(lock.debian).flatMap(([set, packages]) =>
      packages.map((p): [string, string] => [`${set}: ${p.name}`, `${p.version} (${p.sha256.slice(0, 19)}…)`]),
    ),
  ]);
}
