import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { smokeBuild } from '../compat-matrix/smoke/smoke.ts';
import { tryRun } from '../images/process.ts';
import { smokeShell } from '../scripts/commands/release.ts';
import { addEngine } from './fixtures/engine.ts';
import { BAKED, bedplate, bootRunner, buildctl, CACHE, LOCK, type TestRunner } from './harness.ts';

const OLDEST = '0.13.2';
const SLOW = `${BAKED}-slow`;
const BROKEN = `${BAKED}-broken`;

let runner: TestRunner;
beforeAll(async () => {
  runner = await bootRunner('waiting');
  await addEngine(runner, SLOW, 'sleep 60; exec "$@"', { startTimeoutMs: 120_000 });
  await addEngine(runner, BROKEN, 'echo "buildkitd: flag provided but not defined: -colour" >&2; exit 3');
});
afterAll(() => runner.down());

test('the oldest and the newest buildctl wait 60 s for an engine that takes so long, and build', async () => {
  const shell = await smokeShell(LOCK, CACHE);
  const builds = [BAKED, OLDEST].map(async (cli) => {
    const target = { engine: SLOW, cli, buildctl: await buildctl(cli), socket: runner.socket(SLOW) };
    return smokeBuild(target, shell, `${cli}-${Date.now()}`);
  });
  for (const result of await Promise.all(builds)) {
    expect(result).toMatchObject({ status: 'pass', reason: '' });
    expect(result.seconds).toBeGreaterThan(60);
  }
});

test.each([BAKED, OLDEST])('buildctl %s is told why an engine does not start', async (cli) => {
  const args = ['--addr', `unix://${runner.socket(BROKEN)}`, 'debug', 'workers'];
  const { exitCode, stderr } = await tryRun(await buildctl(cli), args);
  expect(exitCode).not.toBe(0);
  expect(stderr).toContain('Unavailable');
  expect(stderr).toContain(`bedplate: engine buildkit/${BROKEN}`);
  expect(stderr).toContain('exit status 3; its last lines: buildkitd: flag provided but not defined: -colour');
});

test('why it does not start is also in status and in the log', async () => {
  const reason = 'flag provided but not defined: -colour';
  expect((await runner.engine(BROKEN)).lastError).toContain(reason);
  expect((await bedplate(['status', ...runner.flag])).stdout).toContain(reason);
  expect(readFileSync(runner.state.log, 'utf8')).toContain(reason);
});
