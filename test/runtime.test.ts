import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { run, tryRun } from '../images/process.ts';
import {
  BAKED,
  bootRunner,
  buildArgs,
  buildContext,
  buildctl,
  buildOn,
  eventually,
  namespaceOf,
  removeFolder,
  running,
  SLEEPING,
  temporaryFolder,
} from './harness.ts';

/** Debian 12's, 1.8.1: of runtime-spec 1.1 at most, so of BuildKit up to 0.13; newer ones get "unknown version specified". */
const CRUN = '/usr/bin/crun';

/** The files that a program of this host is linked with. */
async function librariesOf(program: string): Promise<string[]> {
  const { stdout } = await run('ldd', [program]);
  return [...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path ?? '');
}

test('RUN steps of one version by another runtime, mounted from the host; the others by runc', async () => {
  const version = '0.13.2';
  const work = temporaryFolder('runtime');
  mkdirSync(join(work, 'buildkit', version), { recursive: true });
  writeFileSync(
    join(work, 'buildkit', version, 'buildkitd.toml'),
    `[worker.containerd.runtime]\n  name = "io.containerd.runc.v2"\n  options = { BinaryName = "${CRUN}" }\n`,
  );
  const mounts = [CRUN, ...(await librariesOf(CRUN))].flatMap((path) => ['--mount', path]);
  const runner = await bootRunner('runtime', ['--engine-config', work, ...mounts]);
  try {
    for (const engine of [version, BAKED]) {
      const { exitCode, stderr } = await buildOn(runner, engine, running('echo $((6*7))'));
      expect([exitCode, stderr]).toEqual([0, expect.stringMatching(/\d 42\n/)]);
    }
    // What each keeps of a container: crun(1) a file `status`, runc `state.json`.
    for (const [engine, file] of [
      [version, 'status'],
      [BAKED, 'state.json'],
    ] as const) {
      const context = await buildContext('runtime', SLEEPING);
      const build = tryRun(await buildctl(BAKED), buildArgs(runner.socket(engine), context, join(context, 'out')));
      const folder = `/proc/${runner.pid()}/root/run/containerd/runc/${namespaceOf(engine)}`;
      const found = await eventually('the RUN is running', async () => {
        const { stdout } = await tryRun('find', [folder, '-name', 'status', '-o', '-name', 'state.json']);
        return stdout.trim() === '' ? undefined : stdout.trim();
      });
      expect(found.split('/').at(-1)).toBe(file);
      await tryRun('pkill', ['-f', context]);
      await build;
      removeFolder(context);
    }
  } finally {
    await runner.down();
    removeFolder(work);
  }
});

test('a device that the host describes (CDI) is given to the RUN step that asks for it', async () => {
  const work = temporaryFolder('cdi');
  mkdirSync(join(work, 'cdi'));
  const containerEdits = { deviceNodes: [{ path: '/dev/given', hostPath: '/dev/zero' }], env: ['GIVEN=yes'] };
  const cdi = { cdiVersion: '0.6.0', kind: 'bedplate.dev/test', devices: [{ name: 'one', containerEdits }] };
  writeFileSync(join(work, 'cdi', 'test.json'), JSON.stringify(cdi));
  mkdirSync(join(work, 'engines', 'buildkit'), { recursive: true });
  writeFileSync(join(work, 'engines', 'buildkit', 'buildkitd.toml'), 'insecure-entitlements = ["device"]\n');
  const flags = ['--mount', `${join(work, 'cdi')}:/etc/cdi`, '--engine-config', join(work, 'engines')];
  const runner = await bootRunner('cdi', flags);
  try {
    const script = 'echo given $GIVEN; /bin/busybox head -c 3 /dev/given | /bin/busybox od -c';
    const dockerfile = running(script).replace('RUN [', 'RUN --device=bedplate.dev/test=one [');
    const { exitCode, stderr } = await buildOn(runner, BAKED, dockerfile, ['--allow=device']);
    expect([exitCode, stderr]).toEqual([0, expect.stringMatching(/given yes\n[\s\S]*\\0 +\\0 +\\0/)]);
    expect((await buildOn(runner, BAKED, running('ls /dev/given'))).exitCode).not.toBe(0);
  } finally {
    await runner.down();
    removeFolder(work);
  }
});
