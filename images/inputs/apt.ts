import { BedplateError } from '../error.ts';
import type { LockedPackage } from '../lock/schema.ts';
import { run, tryRun } from '../process.ts';

/** Which of the versions that apt knows is wanted. */
export type AptSource = 'candidate' | 'release';

const POCKETS = /-(security|updates|backports|proposed)\b|-(security|updates|backports|proposed)\//;

/**
 * Resolves a package to one exact .deb by the machine's configured apt sources and apt's own tools.
 * `release` takes the version of the release suite itself, which stays on mirrors when a security update has replaced it.
 */
export async function resolveDebianPackage(name: string, from: AptSource): Promise<LockedPackage> {
  const version = await pickVersion(name, from);
  const shown = (await run('apt-cache', ['show', `${name}=${version}`])).stdout.split('\n\n')[0] ?? '';
  const field = (key: string) => {
    const value = new RegExp(`^${key}: (.+)$`, 'm').exec(shown)?.[1];
    if (value !== undefined) return value;
    throw new BedplateError(
      'input-missing',
      `apt-cache show ${name}=${version} gives no ${key}`,
      'Run apt-get update and try again.',
    );
  };
  return {
    name,
    version,
    architecture: field('Architecture'),
    sha256: `sha256:${field('SHA256')}`,
    sizeBytes: Number(field('Size')),
  };
}

async function pickVersion(name: string, from: AptSource): Promise<string> {
  const rows = (await run('apt-cache', ['madison', name])).stdout
    .split('\n')
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .filter((cells) => cells.length === 3 && cells[2]?.endsWith('Packages'));
  const versions = rows
    .filter((cells) => from === 'candidate' || !POCKETS.test(cells[2] ?? ''))
    .map((cells) => cells[1]);
  const version = versions[0];
  if (version !== undefined) return version;
  throw new BedplateError(
    'input-missing',
    `apt knows no package ${name} in the machine's configured sources`,
    'Run apt-get update; when it is still not there, add a Debian source that has it.',
  );
}

/** Fetches one locked .deb into `folder`. Gives the reason when the mirror does not have it any more. */
export async function downloadDebianPackage(locked: LockedPackage, folder: string): Promise<string | undefined> {
  const args = ['-o', 'APT::Sandbox::User=root', 'download', `${locked.name}=${locked.version}`];
  let result = await tryRun('apt-get', args, { cwd: folder });
  if (result.exitCode !== 0 && process.getuid?.() === 0) {
    await tryRun('apt-get', ['update']);
    result = await tryRun('apt-get', args, { cwd: folder });
  }
  return result.exitCode === 0 ? undefined : result.stderr.trim().split('\n').slice(-1)[0];
}
