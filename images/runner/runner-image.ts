import type { CompileResult } from '../compile/compile.ts';
import { canonicalJson } from '../digest.ts';
import type { LayerEntry } from '../layer/plan.ts';

export const RUNNER_BIN = '/opt/bedplate/runner/bin';
/** The folder that engines see too. */
const RUNNER_CNI = '/opt/bedplate/runner/cni';

/** The runner's own files: docs/spec/runner.md, "In the image". */
export function runnerEntries(
  compiled: readonly CompileResult[],
  plugins: CompileResult,
  runner: { readonly version: string; readonly default: string; readonly basePaths: readonly string[] },
): LayerEntry[] {
  const json = canonicalJson({
    schemaVersion: 1,
    version: runner.version,
    default: runner.default,
    basePaths: runner.basePaths,
  });
  return [
    { path: 'opt/bedplate/runner/runner.json', type: 'file', content: `${json}\n` },
    ...compiled.flatMap((result) => programEntries(result, RUNNER_BIN)),
    ...programEntries(plugins, RUNNER_CNI),
  ];
}

function programEntries({ programs }: CompileResult, folder: string): LayerEntry[] {
  return programs.map((p) => ({
    // A module of this repo gives its program the name of its folder.
    path: `${folder.slice(1)}/${p.name === 'supervisor' ? 'bedplated' : p.name}`,
    type: 'file',
    mode: 0o755,
    source: p.path,
    digest: p.digest,
  }));
}
