import type { CompileResult } from '../compile/compile.ts';
import { canonicalJson } from '../digest.ts';
import type { LayerEntry } from '../layer/plan.ts';

export const RUNNER_BIN = '/opt/bedplate/runner/bin';

/** The runner's own files: docs/spec/runner.md, "In the image". */
export function runnerEntries(
  compiled: readonly CompileResult[],
  runner: { readonly version: string; readonly default: string; readonly basePaths: readonly string[] },
): LayerEntry[] {
  const prefix = RUNNER_BIN.slice(1);
  const json = canonicalJson({
    schemaVersion: 1,
    version: runner.version,
    default: runner.default,
    basePaths: runner.basePaths,
  });
  return [
    { path: 'opt/bedplate/runner/runner.json', type: 'file', content: `${json}\n` },
    ...compiled.flatMap(({ programs }) =>
      programs.map(
        (p): LayerEntry => ({
          // A module of this repo gives its program the name of its folder.
          path: `${prefix}/${p.name === 'supervisor' ? 'bedplated' : p.name}`,
          type: 'file',
          mode: 0o755,
          source: p.path,
          digest: p.digest,
        }),
      ),
    ),
  ];
}
