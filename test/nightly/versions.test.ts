import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootRunner, LOCK, leftovers, smoke, type TestRunner } from '../harness.ts';

const versions = LOCK.components.filter((c) => c.name === 'buildkit').map((c) => c.version);
let runner: TestRunner;
beforeAll(async () => {
  runner = await bootRunner('nightly', ['--idle', '1']);
});
afterAll(async () => {
  await runner.down();
  expect(await leftovers(runner.state)).toEqual([]);
});

describe.each(versions)('buildctl %s', (cli) => {
  test.each(versions)('builds with engine %s', async (engine) => {
    expect(await smoke(runner, engine, { cli })).toMatchObject({ status: 'pass', reason: '' });
  });
});
