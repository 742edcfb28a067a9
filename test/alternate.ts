import { expect } from 'vitest';
import { smokeBuild } from '../compat-matrix/smoke/smoke.ts';
import { smokeShell } from '../scripts/commands/release.ts';
import { BAKED, buildctl, CACHE, LOCK, type TestRunner } from './harness.ts';

/** Two patches of the baked engine's minor, with its very bytes (fixtures/engine.ts). */
export const PATCHES = ['0.34.90', '0.34.91'] as const;

/** Two clients, each of which goes from one of two versions to the other with every build, for so long. Gives how many each built; none may fail. */
export async function alternate(
  runner: TestRunner,
  versions: readonly [string, string],
  seconds: number,
): Promise<number[]> {
  const shell = await smokeShell(LOCK, CACHE);
  const cli = await buildctl(BAKED);
  const until = performance.now() + seconds * 1000;
  const client = async (first: number) => {
    let builds = 0;
    for (; performance.now() < until; builds++) {
      const engine = versions[(first + builds) % 2] ?? versions[0];
      const target = { engine, cli: BAKED, buildctl: cli, socket: runner.socket(engine) };
      const nonce = `${first}-${builds}-${Date.now()}`;
      expect(await smokeBuild(target, shell, nonce)).toMatchObject({ status: 'pass', reason: '' });
    }
    return builds;
  };
  return Promise.all([client(0), client(1)]);
}
