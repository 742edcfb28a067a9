import { afterAll, beforeAll, expect, test } from 'vitest';
import { controlClient } from '../../images/runner/control.ts';
import { bootRunner, leftovers, smoke, type TestRunner, VERSIONS } from '../harness.ts';
import { figures, leavesNothing, pruneAll, RESIDENT_TOLERANCE_BYTES, residentBytes } from '../leaks.ts';

const BLOCKS = 10;
const ROUNDS_OF_A_BLOCK = 10;

let runner: TestRunner;
beforeAll(async () => {
  runner = await bootRunner('rounds');
});
afterAll(async () => {
  await runner.down();
  expect(await leftovers(runner.state)).toEqual([]);
});

/** Starts all three versions at once, does the work, and stops them. */
async function round(work = async () => {}): Promise<void> {
  const control = controlClient(runner.state);
  await Promise.all(VERSIONS.map((version) => control.start('buildkit', version)));
  await work();
  await Promise.all(VERSIONS.map((version) => control.stop('buildkit', version)));
}

async function build(): Promise<void> {
  for (const version of VERSIONS) expect(await smoke(runner, version)).toMatchObject({ status: 'pass', reason: '' });
}

test(`${BLOCKS * ROUNDS_OF_A_BLOCK} rounds of start and stop of three versions leave what was there before`, async () => {
  await round(build);
  await pruneAll(runner);
  const before = await residentBytes(runner);
  const held = await leavesNothing(runner, async () => {
    for (let block = 1; block <= BLOCKS; block++) {
      await round(build);
      // Without a build not even a cache may differ.
      await leavesNothing(runner, async () => {
        for (let n = 1; n < ROUNDS_OF_A_BLOCK; n++) await round();
      });
      console.log(`${block * ROUNDS_OF_A_BLOCK} rounds`, await residentBytes(runner));
    }
    await pruneAll(runner);
  });
  const after = await residentBytes(runner);
  console.log('held before as after:', figures(held), 'resident:', { before, after });
  expect(after.bedplated - before.bedplated).toBeLessThan(RESIDENT_TOLERANCE_BYTES);
  expect(after.containerd - before.containerd).toBeLessThan(RESIDENT_TOLERANCE_BYTES);
});
