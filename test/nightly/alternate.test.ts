import { expect, test } from 'vitest';
import { alternate, PATCHES } from '../alternate.ts';
import { addEngine } from '../fixtures/engine.ts';
import { bootRunner } from '../harness.ts';

test('two clients that alternate patches of one minor for five minutes lose no build', async () => {
  const runner = await bootRunner('alternate');
  try {
    for (const version of PATCHES) await addEngine(runner, version, 'exec "$@"');
    const builds = await alternate(runner, PATCHES, 300);
    console.log(`${builds.join(' and ')} builds`);
    for (const count of builds) expect(count).toBeGreaterThan(20);
  } finally {
    await runner.down();
  }
});
