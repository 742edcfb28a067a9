import { join } from 'node:path';
import { cToolchain } from '../images/inputs/c-toolchain.ts';
import { goEnvironment, goToolchain } from '../images/inputs/go-toolchain.ts';
import { checkedLock } from '../images/lock/read.ts';
import { type RunResult, tryRun } from '../images/process.ts';
import type { Context } from './context.ts';

/** How many of something passed and failed. */
export interface Count {
  readonly passed: number;
  readonly failed: number;
}

const MODULES = ['images/runner/supervisor', 'images/layer/tool'];

/** `go vet` and `go test` of the repo's own Go modules, with the locked toolchains: the race detector is cgo. */
export async function goTests(context: Context, race: boolean): Promise<Count> {
  const go = await goRunner(context, race);
  let passed = 0;
  let failed = 0;
  for (const module of MODULES) {
    const vet = await go(module, ['vet', './...']);
    const tests = await go(module, ['test', '-json', ...(race ? ['-race'] : []), './...']);
    const events = tests.stdout
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as { Action: string; Test?: string; Package?: string; Output?: string });
    const ended = (action: string) =>
      events.filter((event) => event.Test !== undefined && event.Action === action).length;
    const red = ended('fail') + (vet.exitCode === 0 ? 0 : 1) + (tests.exitCode !== 0 && ended('fail') === 0 ? 1 : 0);
    passed += ended('pass') + (vet.exitCode === 0 ? 1 : 0);
    failed += red;
    console.log(`${red === 0 ? '✔' : '✖'} go vet, go test${race ? ' -race' : ''} ${module}: ${ended('pass')} tests`);
    if (red > 0) console.log(vet.stderr, tests.stderr, events.map((event) => event.Output ?? '').join(''));
  }
  return { passed, failed };
}

/** Every fuzz target of the repo's own Go modules, for so long each. One that fails leaves its input in the package's testdata/fuzz. */
export async function goFuzz(context: Context, seconds: number): Promise<Count> {
  const go = await goRunner(context, false);
  let passed = 0;
  let failed = 0;
  for (const module of MODULES) {
    for (const { name, folder } of await fuzzTargets(module, go)) {
      const fuzz = await go(module, ['test', '-run=^$', `-fuzz=^${name}$`, `-fuzztime=${seconds}s`, `./${folder}`]);
      const executed = [...fuzz.stdout.matchAll(/execs: (\d+)/g)].at(-1)?.[1] ?? '0';
      const green = fuzz.exitCode === 0 || TIME_IS_UP.test(fuzz.stdout);
      console.log(`${green ? '✔' : '✖'} fuzz ${folder} ${name}: ${executed} inputs in ${seconds} s`);
      if (green) passed++;
      else failed++;
      if (!green) console.log(fuzz.stdout, fuzz.stderr);
    }
  }
  return { passed, failed };
}

/** Go's fuzzer now and then takes the end of its own time for a failure: no input is named then (golang/go#75804, mended in 1.27). */
const TIME_IS_UP = /^--- FAIL: \w+ \([\d.]+s\)\n {4}context deadline exceeded\nFAIL$/m;

type Go = (module: string, args: readonly string[]) => Promise<RunResult>;

async function fuzzTargets(module: string, go: Go): Promise<{ readonly name: string; readonly folder: string }[]> {
  const { stdout } = await go(module, ['test', '-json', '-list=^Fuzz', './...']);
  return stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as { Package: string; Output?: string })
    .flatMap(({ Package: pack, Output: output }) => {
      const name = /^(Fuzz\w+)\s*$/.exec(output ?? '')?.[1];
      return name === undefined
        ? []
        : [{ name, folder: pack.split('/').slice(pack.split('/').indexOf('internal')).join('/') }];
    });
}

async function goRunner(context: Context, race: boolean): Promise<Go> {
  const lock = checkedLock(context.root, await context.config());
  const go = await goToolchain(lock.go.version, lock.go.sums);
  const c = race ? await cToolchain(lock.debian.cToolchain, context.cache) : undefined;
  const env = goEnvironment({
    GOTOOLCHAIN: 'local',
    CGO_ENABLED: race ? '1' : '0',
    ...(c === undefined ? {} : { CC: join(c, 'cc') }),
  });
  return (module, args) => tryRun(go, args, { cwd: join(context.root, module), env });
}
