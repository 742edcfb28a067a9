import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { controlClient } from '../images/runner/control.ts';
import { connectEngine } from './engine-connection.ts';
import { BAKED, bootRunner, eventually, type TestRunner } from './harness.ts';
import { descriptorsOf } from './leaks.ts';

const CONNECTIONS = 200;

let runner: TestRunner;
beforeAll(async () => {
  runner = await bootRunner('many');
});
afterAll(() => runner.down());

const starts = () => readFileSync(runner.state.log, 'utf8').split('"engine starting"').length - 1;

/** Connects everybody at once, has each ask the engine something, and hangs up. */
async function everybody(): Promise<void> {
  const clients = Array.from({ length: CONNECTIONS }, () => connectEngine(runner.socket(BAKED)));
  const answers = await Promise.all(clients.map((client) => client.version()));
  expect(answers).toEqual(clients.map(() => BAKED));
  expect(await runner.engine(BAKED)).toMatchObject({ state: 'running', connections: CONNECTIONS });
  await Promise.all(clients.map((client) => client.close()));
  await eventually('no connection is left', async () =>
    (await runner.engine(BAKED)).connections === 0 ? true : undefined,
  );
}

test(`${CONNECTIONS} connections at once: one start serves them all, and nothing of them is left open`, async () => {
  const control = controlClient(runner.state);
  await control.start('buildkit', BAKED);
  await control.stop('buildkit', BAKED);
  const before = { starts: starts(), stopped: descriptorsOf(runner) };

  await everybody();
  expect(starts() - before.starts).toBe(1);
  const running = descriptorsOf(runner);
  await everybody();
  expect(starts() - before.starts).toBe(1);
  await expect.poll(() => descriptorsOf(runner)).toEqual(running);

  await control.stop('buildkit', BAKED);
  await expect.poll(() => descriptorsOf(runner)).toEqual(before.stopped);
});
