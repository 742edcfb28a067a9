import { chmodSync, existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { BedplateError, messageOf } from '../error.ts';
import { run, tryRun } from '../process.ts';

/** The `go` command that brings the locked toolchain: any that knows toolchain modules (1.21 or later). */
export function bootstrapGo(): string {
  return process.env.BEDPLATE_GO ?? 'go';
}

/** What decides bytes is never taken from the environment; where modules come from is. */
export function goEnvironment(settings: Readonly<Record<string, string>>): Record<string, string> {
  const inherited = Object.entries(process.env).filter(
    ([name, value]) =>
      value !== undefined &&
      !/^(GO(FLAGS|ROOT|OS|ARCH|AMD64|ARM64|EXPERIMENT|TOOLCHAIN|WORK|DEBUG|FIPS140|111MODULE|BIN)|GO111MODULE|CGO_.*|CC|CXX|AR|PKG_CONFIG.*|LD_.*|CPATH|C_INCLUDE_PATH|LIBRARY_PATH|GCC_.*)$/.test(
        name,
      ),
  ) as [string, string][];
  return {
    ...Object.fromEntries(inherited),
    LC_ALL: 'C',
    GOFLAGS: '',
    GOWORK: 'off',
    GO111MODULE: 'on',
    GOEXPERIMENT: '',
    GOFIPS140: 'off',
    ...settings,
  };
}

interface ModuleDownload {
  readonly Sum?: string;
  readonly Dir?: string;
  readonly Info?: string;
  readonly Error?: string;
  readonly Origin?: { readonly Hash?: string };
}

/** `go mod download -json` of one module at one version, outside of any module. */
export async function downloadModule(module: string, version: string): Promise<ModuleDownload> {
  const go = bootstrapGo();
  const found = await tryRun(go, ['mod', 'download', '-json', `${module}@${version}`], {
    cwd: '/',
    env: goEnvironment({ GOTOOLCHAIN: 'local' }),
  });
  if (found.exitCode === 127) throw missingGo(go);
  try {
    const answer = JSON.parse(found.stdout) as ModuleDownload;
    if (answer.Error === undefined) return answer;
    throw new Error(answer.Error);
  } catch (cause) {
    throw new BedplateError(
      'input-missing',
      `Go module ${module} ${version} cannot be had: ${messageOf(cause)} ${found.stderr.trim()}`.trim(),
      'Check that the Go module proxy (go env GOPROXY) is reachable and try again.',
      { cause },
    );
  }
}

export function toolchainVersion(goVersion: string, host: string): string {
  return `v0.0.1-go${goVersion}.${host}`;
}

/** The platforms whose Go toolchain is locked: those bedplate builds on. */
export const HOSTS = ['linux-amd64', 'linux-arm64'] as const;

/**
 * The path of the locked `go`: the toolchain module's own, checked by its sum, even when the machine has a `go` of the same version.
 * @param sums as in the lock
 */
export async function goToolchain(goVersion: string, sums: Readonly<Record<string, string>>): Promise<string> {
  const host = `linux-${process.arch === 'x64' ? 'amd64' : process.arch}`;
  const locked = sums[host];
  if (locked === undefined) {
    throw new BedplateError('lock', `the lock has no Go toolchain for ${host}`, 'Run ./bedplate lock --update go.');
  }
  const module = await downloadModule('golang.org/toolchain', toolchainVersion(goVersion, host));
  if (module.Sum !== locked || module.Dir === undefined) {
    throw new BedplateError(
      'input-mismatch',
      `the Go toolchain ${goVersion} for ${host} has the sum ${module.Sum}, locked is ${locked}`,
      'Do not use it: check where it comes from (go env GOPROXY).',
    );
  }
  makeExecutable(module.Dir);
  return join(module.Dir, 'bin', 'go');
}

/** A toolchain in the module cache has no execute bits until the go command switches to it; it sets just these. */
function makeExecutable(folder: string): void {
  const tools = join(folder, 'pkg', 'tool');
  const folders = [
    join(folder, 'bin'),
    ...(existsSync(tools) ? readdirSync(tools).map((name) => join(tools, name)) : []),
  ];
  for (const path of folders.flatMap((f) => readdirSync(f).map((name) => join(f, name)))) {
    const { mode } = statSync(path);
    if ((mode & 0o111) === 0) chmodSync(path, mode | 0o111);
  }
}

/** The versions of a module that its proxy lists, unsorted, as Go writes them (`v1.2.3`). */
export async function moduleVersions(module: string): Promise<string[]> {
  const go = bootstrapGo();
  const listed = await tryRun(go, ['list', '-m', '-versions', '-json', `${module}@latest`], {
    cwd: '/',
    env: goEnvironment({ GOTOOLCHAIN: 'local' }),
  });
  if (listed.exitCode === 127) throw missingGo(go);
  const answer = listed.exitCode === 0 ? (JSON.parse(listed.stdout) as { Versions?: string[] }) : {};
  if (answer.Versions !== undefined) return answer.Versions;
  throw new BedplateError(
    'input-missing',
    `no versions of Go module ${module}: ${listed.stderr.trim()}`,
    'Check that the Go module proxy is reachable.',
  );
}

/** Says that there is no usable Go, before anything is begun. */
export async function requireGo(): Promise<void> {
  const go = bootstrapGo();
  const answer = await tryRun(go, ['version'], { env: goEnvironment({ GOTOOLCHAIN: 'local' }) });
  if (answer.exitCode !== 0) throw missingGo(go);
  const minor = Number(/go1\.(\d+)/.exec(answer.stdout)?.[1] ?? 0);
  if (minor < 21) {
    throw new BedplateError(
      'tool-missing',
      `${go} is too old: ${answer.stdout.trim()} (1.21 or later knows toolchain modules)`,
      MISSING_GO,
    );
  }
}

const MISSING_GO =
  'Run ./bedplate (not scripts/cli.ts), which brings up a Go when the machine has none, or set BEDPLATE_GO to one.';

function missingGo(go: string): BedplateError {
  return new BedplateError('tool-missing', `the Go compiler is missing: there is no ${go} to run`, MISSING_GO);
}

/** Runs the locked go command. */
export async function runGo(
  go: string,
  args: readonly string[],
  options: { cwd: string; settings?: Readonly<Record<string, string>> },
): Promise<string> {
  return (await run(go, args, { cwd: options.cwd, env: goEnvironment({ GOTOOLCHAIN: 'local', ...options.settings }) }))
    .stdout;
}
