import { defineConfig } from './images/config.ts';
import { buildkit } from './images/engines/buildkit/buildkit.ts';

/** This repo's own release, and the worked example of a config. */
export default defineConfig({
  platforms: ['linux/amd64'],
  go: '1.26.8',
  compression: { format: 'zstd', level: 3, frameBytes: 4 * 1024 * 1024 },
  engines: [{ kind: buildkit, versions: ['0.34', '0.29.0', '0.16.0', '0.13.2'] }],
  runner: { containerd: '2.4.2', runc: '1.5.2', cni: '1.9.1', bake: 'buildkit' },
  debian: {
    // runc is C and Go: its compiler, with the C library and libseccomp that it is linked with.
    cToolchain: [
      { name: 'gcc-12' },
      { name: 'cpp-12' },
      { name: 'libgcc-12-dev' },
      { name: 'binutils-x86-64-linux-gnu' },
      { name: 'binutils' },
      { name: 'libbinutils' },
      { name: 'libctf0' },
      { name: 'libctf-nobfd0' },
      { name: 'libjansson4' },
      { name: 'libisl23' },
      { name: 'libmpc3' },
      { name: 'libmpfr6' },
      { name: 'libgmp10' },
      { name: 'libzstd1' },
      { name: 'zlib1g' },
      { name: 'libc6' },
      { name: 'libgcc-s1' },
      { name: 'libc6-dev' },
      // Headers only, and replaced by every kernel update: the release's own stays where it is.
      { name: 'linux-libc-dev', from: 'release' },
      { name: 'libseccomp-dev' },
    ],
    base: [{ name: 'ca-certificates' }],
    // What the smoke build's Dockerfile runs.
    smoke: [{ name: 'busybox-static' }],
  },
});
