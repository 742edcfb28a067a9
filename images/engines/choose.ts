import { maxSatisfying, validRange } from 'semver';
import { BedplateError } from '../error.ts';

/**
 * The highest of the versions that a range allows.
 * @param what what is chosen, for messages: `engine`, `CLI`
 * @param where where they were looked for
 */
export function chooseVersion(versions: readonly string[], range: string, what: string, where: string): string {
  if (validRange(range) === null) {
    throw new BedplateError('usage', `${what} ${range}: not a version range`, 'Examples: 0.34, ^0.29.0, 0.13.2.');
  }
  const version = maxSatisfying([...versions], range);
  if (version !== null) return version;
  throw new BedplateError(
    'not-found',
    `no ${what} of version ${range} ${where}`,
    `There is: ${[...versions].join(', ') || 'none'}.`,
  );
}
