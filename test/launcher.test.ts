import {
  chmodSync,
  cpSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { start, tryRun } from '../images/process.ts';
import { eventually, makeFolder, ROOT, removeFolder, temporaryFolder } from './harness.ts';

const work = temporaryFolder('launcher');
const cache = join(work, 'cache');
const checkout = join(work, 'checkout');
let tools: string;

/** A CLI that says what it was run with, so that the launcher is what is tested. */
const STAND_IN = `console.log(JSON.stringify({ argv: process.argv.slice(2), node: process.version, go: process.env.BEDPLATE_GO ?? '' }));
if (process.argv.includes('fail')) process.exitCode = 7;
`;

beforeAll(() => {
  makeFolder(join(checkout, 'scripts'));
  for (const name of [
    'bedplate',
    'package.json',
    'package-lock.json',
    '.npmrc',
    'scripts/setup',
    'scripts/package.json',
    'images/runner/package.json',
    'images/engines/buildkit/package.json',
  ]) {
    cpSync(join(ROOT, name), join(checkout, name), { recursive: true });
  }
  writeFileSync(join(checkout, 'scripts/cli.ts'), STAND_IN);
  tools = pathWithout('bare', ['node', 'npm', 'npx', 'go', 'gofmt']);
});
afterAll(() => removeFolder(work));

/** A PATH of the machine's own programs but some: a folder of links. */
function pathWithout(name: string, hidden: readonly string[]): string {
  const folder = makeFolder(join(work, `path-${name}`));
  for (const source of (process.env.PATH ?? '')
    .split(':')
    .filter((path) => existsSync(path) && !path.includes('node_modules'))) {
    for (const program of readdirSync(source)) {
      if (!hidden.includes(program) && !existsSync(join(folder, program))) {
        try {
          symlinkSync(join(source, program), join(folder, program));
        } catch {
          // A broken link of the same name.
        }
      }
    }
  }
  return folder;
}

/** A PATH whose first entry has the given programs. */
function pathWith(name: string, programs: Readonly<Record<string, string>>, rest: string): string {
  const folder = makeFolder(join(work, `with-${name}`));
  for (const [program, script] of Object.entries(programs)) {
    writeFileSync(join(folder, program), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, program), 0o755);
  }
  return `${folder}:${rest}`;
}

/** The arguments of env(1) for a launcher of this machine's environment (proxies, certificates, registries), without what is bedplate's. */
function launcher(env: Readonly<Record<string, string>>, command: readonly string[]): string[] {
  const own = Object.keys(process.env).filter((name) => /^(BEDPLATE_|SUDO_|RUNNER$|VITEST|NODE_OPTIONS$)/.test(name));
  const settings = { HOME: homedir(), BEDPLATE_CACHE: cache, CI: 'true', ...env };
  return [
    ...own.map((name) => `--unset=${name}`),
    ...Object.entries(settings).map(([name, value]) => `${name}=${value}`),
    ...command,
  ];
}

function launch(args: readonly string[], env: Record<string, string> = {}, prefix: readonly string[] = []) {
  return tryRun('env', launcher(env, [...prefix, join(checkout, 'bedplate'), ...args]));
}

const pinned = (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { devDependencies: { node: string } })
  .devDependencies.node;

test('without a Node or a Go it brings up both, and runs the CLI on the pinned Node', async () => {
  const { exitCode, stdout, stderr } = await launch(['build', '--out', 'a b'], { PATH: tools });
  expect(stderr).toContain('no Node with npm on PATH');
  expect(stderr).toContain('no Go on PATH');
  expect([exitCode, stderr]).toEqual([0, expect.any(String)]);
  const said = JSON.parse(stdout) as { argv: string[]; node: string; go: string };
  expect(said.argv).toEqual(['build', '--out', 'a b']);
  expect(said.node).toBe(`v${pinned}`);
  expect((await tryRun(said.go, ['version'], { env: { GOTOOLCHAIN: 'local', HOME: homedir() } })).stdout).toMatch(
    /go1\.2\d/,
  );
});

test('when all is there it does nothing but run the CLI; --yes is its own, but not after --', async () => {
  const { stdout, stderr } = await launch(['--yes', 'exec', '--engine', '1', '--', 'buildctl', '--yes']);
  expect(stderr).toBe('');
  expect((JSON.parse(stdout) as { argv: string[] }).argv).toEqual(['exec', '--engine', '1', '--', 'buildctl', '--yes']);
});

test('the CLI’s exit code is passed on', async () => {
  expect((await launch(['fail'])).exitCode).toBe(7);
});

test('a Go that is too old is not used', async () => {
  const PATH = pathWith('old-go', { go: 'echo "go version go1.19.8 linux/amd64"' }, tools);
  const { stdout } = await launch(['lock'], { PATH });
  expect((JSON.parse(stdout) as { go: string }).go).toContain(cache);
});

test('too little free disk is said before anything is fetched', async () => {
  const { exitCode, stderr } = await launch(['build'], { BEDPLATE_MIN_FREE_MB: '999999999' });
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(/has \d+ MB free; build needs 999999999 MB/);
  expect((await launch(['status'], { BEDPLATE_MIN_FREE_MB: '999999999' })).exitCode).toBe(0);
});

test('missing system packages: named exactly when it may not install them, installed when it may', async () => {
  const PATH = pathWithout('no-skopeo', ['skopeo', 'umoci']);
  chmodSync(work, 0o755);
  const plain = await launch(['test'], { PATH, BEDPLATE_MIN_FREE_MB: '0' }, [
    'setpriv',
    '--reuid=65534',
    '--regid=65534',
    '--clear-groups',
  ]);
  expect(plain.exitCode).toBe(1);
  expect(plain.stderr).toContain('missing system packages: skopeo umoci');
  expect(plain.stderr).toContain('sudo apt-get install --no-install-recommends skopeo umoci');
  const calls = join(work, 'apt-calls');
  const recording = pathWith('apt', { 'apt-get': `echo "$@" >> ${calls}; exec /usr/bin/apt-get "$@"` }, PATH);
  const root = await launch(['test'], { PATH: recording, BEDPLATE_MIN_FREE_MB: '0' });
  expect(root.exitCode).toBe(0);
  expect(readFileSync(calls, 'utf8')).toContain('install --yes --no-install-recommends skopeo umoci');
});

test('another system: what works there, and how', async () => {
  const mac = await launch(['up'], { PATH: pathWith('mac', { uname: 'echo Darwin' }, process.env.PATH ?? '') });
  expect([mac.exitCode, mac.stderr]).toEqual([1, expect.stringContaining('this is macOS')]);
  const windows = await launch(['up'], {
    PATH: pathWith('windows', { uname: 'echo MINGW64_NT' }, process.env.PATH ?? ''),
  });
  expect([windows.exitCode, windows.stderr]).toEqual([1, expect.stringContaining('WSL 2')]);
});

test('two at once, and one killed in the middle of npm ci, end with whole packages', async () => {
  removeFolder(join(checkout, 'node_modules'));
  const log = openSync(join(work, 'killed.log'), 'w');
  const first = start('env', launcher({}, ['setsid', join(checkout, 'bedplate'), 'status']), log);
  await eventually('npm ci has begun', () => (existsSync(join(checkout, 'node_modules')) ? true : undefined));
  await tryRun('pkill', ['-KILL', '-g', String(first.pid)]);
  await tryRun('pkill', ['-KILL', '-f', `npm ci --prefix ${checkout}`]);
  await first.ended;
  expect(existsSync(join(checkout, 'node_modules/.bedplate-stamp'))).toBe(false);
  const both = await Promise.all([launch(['status']), launch(['status'])]);
  expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
  expect(both.filter(({ stderr }) => stderr.includes('bringing up the npm packages'))).toHaveLength(1);
});

test('after sudo, what root made in a user’s checkout is that user’s', async () => {
  await tryRun('chown', ['-R', '12345:12345', checkout]);
  removeFolder(join(checkout, 'node_modules'));
  await launch(['status'], { SUDO_UID: '12345', SUDO_GID: '12345' });
  expect((await tryRun('find', [checkout, '-uid', '0'])).stdout).toBe('');
  expect(statSync(join(checkout, 'node_modules')).uid).toBe(12345);
});
