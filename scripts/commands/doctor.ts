import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { freeBytes } from '../../images/cache.ts';
import { BedplateError, messageOf } from '../../images/error.ts';
import { requireGo } from '../../images/inputs/go-toolchain.ts';
import { checkedLock } from '../../images/lock/read.ts';
import { tryRun } from '../../images/process.ts';
import { type Context, makeContext } from '../context.ts';

/** One thing that was looked at. `needed`: by which commands. */
interface Finding {
  readonly what: string;
  readonly ok: boolean;
  readonly found: string;
  readonly needed: string;
}

const GIGABYTE = 1e9;
const DISK_BYTES = 8 * GIGABYTE;

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description('what this machine has of what bedplate needs')
    .addHelpText('after', '\nExample: bedplate doctor')
    .action(async (_: unknown, command: Command) => {
      const context = makeContext(command.optsWithGlobals());
      const findings = await examine(context);
      if (context.json) console.log(JSON.stringify({ findings }));
      else
        for (const { what, ok, found, needed } of findings)
          console.log(`${ok ? '✔' : '✖'} ${what}: ${found}${ok ? '' : ` (needed by ${needed})`}`);
      if (findings.some(({ ok }) => !ok)) process.exitCode = 1;
    });
}

async function examine(context: Context): Promise<Finding[]> {
  const root = process.getuid?.() === 0;
  const free = freeBytes(context.cache);
  const booting = 'up, down, exec, release, test';
  return [
    { what: 'system', ok: process.platform === 'linux', found: `${process.platform} ${process.arch}`, needed: booting },
    { what: 'root', ok: root, found: root ? 'yes' : 'no: use sudo', needed: booting },
    { what: 'Node', ok: process.version.startsWith('v26.'), found: process.version, needed: 'everything' },
    await tried('Go', 'build, lock', async () => {
      await requireGo();
      return 'knows toolchain modules';
    }),
    await tried(
      'lock',
      'build',
      async () => `${checkedLock(context.root, await context.config()).components.length} components, fits the config`,
    ),
    {
      what: 'cgroups',
      ok: existsSync('/sys/fs/cgroup'),
      found: existsSync('/sys/fs/cgroup/cgroup.controllers') ? 'v2' : 'v1',
      needed: booting,
    },
    {
      what: 'free disk',
      ok: free >= DISK_BYTES,
      found: `${(free / GIGABYTE).toFixed(1)} GB for ${context.cache}`,
      needed: 'build',
    },
    ...(await programs(['apt-get', 'dpkg-deb'], 'build, lock')),
    ...(await programs(['skopeo', 'umoci', 'git', 'ip'], 'test')),
  ];
}

async function tried(what: string, needed: string, look: () => Promise<string>): Promise<Finding> {
  try {
    return { what, ok: true, found: await look(), needed };
  } catch (error) {
    return {
      what,
      ok: false,
      found: error instanceof BedplateError ? `${error.message} → ${error.advice}` : messageOf(error),
      needed,
    };
  }
}

async function programs(names: readonly string[], needed: string): Promise<Finding[]> {
  const found = await Promise.all(names.map((name) => tryRun('which', [name])));
  return names.map((name, i) => {
    const path = found[i]?.stdout.trim() ?? '';
    return { what: name, ok: path !== '', found: path === '' ? 'not found' : path, needed };
  });
}
