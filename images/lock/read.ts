import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { satisfies } from 'semver';
import { type Config, configValue } from '../config.ts';
import { canonicalJson, type Digest, digestOf } from '../digest.ts';
import { BedplateError, messageOf } from '../error.ts';
import { type Lock, type LockedComponent, lockSchema } from './schema.ts';

export const LOCK_FILE = 'bedplate.lock.json';

/** The digest that ties a lock to its config. */
export function configDigest(config: Config): Digest {
  return digestOf(canonicalJson(configValue(config)));
}

/** The digest over a component's go.mod and go.sum. */
export function modulesDigest(folder: string): Digest {
  const read = (name: string) => {
    const path = join(folder, name);
    try {
      return readFileSync(path, 'utf8');
    } catch (cause) {
      throw new BedplateError('lock', `${path}: ${messageOf(cause)}`, 'Check it out again, or run ./bedplate lock.', {
        cause,
      });
    }
  };
  return digestOf(canonicalJson({ 'go.mod': read('go.mod'), 'go.sum': read('go.sum') }));
}

/** Reads the lock as it is, or gives undefined when there is none. Throws `lock` when it is not a lock. */
export function readLock(root: string): Lock | undefined {
  const path = join(root, LOCK_FILE);
  if (!existsSync(path)) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new BedplateError(
      'lock',
      `${LOCK_FILE} is not JSON: ${messageOf(cause)}`,
      'Check it out again; a merge may have left marks in it.',
      { cause },
    );
  }
  const parsed = lockSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new BedplateError(
    'lock',
    `${LOCK_FILE} is not a valid lock: ${issue?.path.join('.')}: ${issue?.message}`,
    'Check it out again, or move it away and run ./bedplate lock.',
  );
}

/** Reads the lock and checks that it fits the config and the module files. Throws `lock` with what does not fit. */
export function checkedLock(root: string, config: Config): Lock {
  const lock = readLock(root);
  if (lock === undefined) {
    throw new BedplateError('lock', `there is no ${LOCK_FILE} in ${root}`, 'Run ./bedplate lock to make one.');
  }
  if (lock.configDigest !== configDigest(config)) {
    throw new BedplateError(
      'lock',
      `${LOCK_FILE} was made from another config (it says ${lock.configDigest.slice(0, 19)}…, the config is ${configDigest(config).slice(0, 19)}…)${unmet(config, lock)}`,
      'Run ./bedplate lock, look at what it changes, and commit it with the config.',
    );
  }
  for (const component of lock.components) {
    const found = modulesDigest(join(root, component.folder));
    if (found !== component.modulesDigest) {
      throw new BedplateError(
        'lock',
        `${component.folder}: go.mod or go.sum is not what ${LOCK_FILE} says (${found.slice(0, 19)}…, locked is ${component.modulesDigest.slice(0, 19)}…)`,
        `Check them out again, or run ./bedplate lock --update ${component.name}.`,
      );
    }
  }
  return lock;
}

/** The locked component of this name and version. */
export function lockedComponent(lock: Lock, name: string, version?: string): LockedComponent {
  const found = lock.components.find((c) => c.name === name && (version === undefined || c.version === version));
  if (found !== undefined) return found;
  throw new BedplateError(
    'lock',
    `${LOCK_FILE} has no ${name}${version === undefined ? '' : ` ${version}`}`,
    'Run ./bedplate lock.',
  );
}

function unmet(config: Config, lock: Lock): string {
  const wanted = config.engines.flatMap(({ kind, versions }) => versions.map((range) => ({ name: kind.kind, range })));
  const missing = wanted.filter(
    ({ name, range }) => !lock.components.some((c) => c.name === name && satisfies(c.version, range)),
  );
  return missing.length === 0 ? '' : `; it has no ${missing.map(({ name, range }) => `${name} ${range}`).join(', ')}`;
}
