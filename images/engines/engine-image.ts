import type { CompileResult, Program } from '../compile/compile.ts';
import { canonicalJson } from '../digest.ts';
import { BedplateError } from '../error.ts';
import type { LayerEntry } from '../layer/plan.ts';
import { type EngineKind, enginePrefix } from './engine.ts';

/** The label, on an engine image's config, that holds its engine.json. */
export const ENGINE_LABEL = 'dev.bedplate.engine';

/** The engine's own files, all below its prefix: the same entries whether it stands alone or is baked. */
export function engineEntries(kind: EngineKind, version: string, compiled: CompileResult): LayerEntry[] {
  const prefix = enginePrefix(kind.kind, version).slice(1);
  const daemon = programNamed(compiled, kind.daemon);
  return [
    { path: `${prefix}/bin/${daemon.name}`, type: 'file', mode: 0o755, source: daemon.path, digest: daemon.digest },
    { path: `${prefix}/engine.json`, type: 'file', content: `${engineJson(kind, version)}\n` },
  ];
}

/** engine.json (docs/spec/engine.md) in one line. */
export function engineJson(kind: EngineKind, version: string): string {
  return canonicalJson(kind.startContract(version));
}

export function programNamed(compiled: CompileResult, name: string): Program {
  const program = compiled.programs.find((p) => p.name === name);
  if (program !== undefined) return program;
  throw new BedplateError(
    'process',
    `${name} was not among the compiled programs (${compiled.programs.map((p) => p.name).join(', ')})`,
    'Check the recipe of this engine kind.',
  );
}
