import { availableParallelism } from 'node:os';
import { isCompiled } from '../images/compile/compile.ts';
import { components } from '../images/components.ts';
import type { Config } from '../images/config.ts';
import type { Lock } from '../images/lock/schema.ts';
import { hostPlatform } from '../images/platform.ts';
import type { Context } from './context.ts';

/** CPU seconds of a compile from nothing, measured with Go 1.26 on a 2-core machine; what shares packages with an earlier one takes less. */
const CPU_SECONDS: Readonly<Record<string, number>> = {
  containerd: 190,
  runc: 35,
  cni: 20,
  buildkit: 190,
  bedplated: 60,
  'bedplate-layer': 20,
};

/** Says how much compiling is ahead, when there is any. */
export function announceCompiles(config: Config, lock: Lock, context: Context): void {
  const ahead = config.platforms.flatMap((platform) => {
    const parts = components({ root: context.root, config, lock, platform, host: hostPlatform() });
    return [
      parts.packer,
      parts.bedplated,
      parts.containerd,
      parts.runc,
      parts.cni,
      ...parts.engines.map((engine) => engine.input),
    ];
  });
  const missing = ahead.filter((input) => !isCompiled(input, context.cache));
  if (missing.length === 0) return;
  const cpuSeconds = missing.reduce((sum, { name }) => sum + (CPU_SECONDS[name] ?? 60), 0);
  const minutes = Math.max(1, Math.round(cpuSeconds / availableParallelism() / 60));
  console.error(
    `${missing.length} programs are to be compiled: about ${minutes} min on ${availableParallelism()} cores, once. They are kept in ${context.cache}.`,
  );
}
