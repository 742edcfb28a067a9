import { existsSync } from 'node:fs';
import { type Accelerator, runMachine } from './qemu.ts';

/** A kernel without a root panics within seconds, and qemu ends. */
const PROBE_MS = 20_000;

/** `kvm` where it boots this kernel. /dev/kvm alone says little: a machine that is virtual itself can have one that boots only special kernels. */
export async function accelerator(kernel: string, work: string): Promise<Accelerator> {
  if (!existsSync('/dev/kvm')) return 'tcg';
  const { console } = await runMachine({ accelerator: 'kvm', kernel, commandLine: '', work, timeoutMs: PROBE_MS });
  return console.includes('Kernel panic') ? 'kvm' : 'tcg';
}
