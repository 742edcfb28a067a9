import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { controlClient } from '../images/runner/control.ts';
import { connectEngine } from './engine-connection.ts';
import { BAKED, bootRunner, eventually, startsOf, type TestRunner } from './harness.ts';
import { descriptorsOf } from './leaks.ts';

const CONNECTIONS = 200;

let runner: TestRunner;
beforeAll(async () => {
  runner = await bootRunner('many');
});
afterAll(() => runner.down());

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
  const starts = await startsOf(runner);
  // The control API's own connections have been closed then.
  await sleep(300);
  const before = descriptorsOf(runner);

  await everybody();
  expect((await startsOf(runner)) - starts).toBe(1);
  await everybody();
  expect((await startsOf(runner)) - starts).toBe(1);
  await control.stop('buildkit', BAKED);
  await expect.poll(() => descriptorsOf(runner)).toEqual(before);
});
