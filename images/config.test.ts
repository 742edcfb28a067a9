import { expect, test } from 'vitest';
import { configValue, defineConfig, parseConfig } from './config.ts';
import { buildkit } from './engines/buildkit/buildkit.ts';

const config = defineConfig({
  platforms: ['linux/amd64'],
  go: '1.26.8',
  compression: { format: 'zstd', level: 3, frameBytes: 1 << 22 },
  engines: [{ kind: buildkit, versions: ['0.34'] }],
  runner: { containerd: '2.4.2', runc: '1.5.2', cni: '1.9.1', bake: 'buildkit' },
  debian: { cToolchain: [{ name: 'gcc' }], base: [{ name: 'ca-certificates' }], smoke: [{ name: 'busybox-static' }] },
});

const errorOf = (input: unknown): string => {
  try {
    parseConfig(input, 'bedplate.config.ts');
  } catch (error) {
    return (error as Error).message;
  }
  return '';
};

test('a config as the example has it is valid', () => {
  expect(parseConfig(config, 'bedplate.config.ts').engines[0]?.kind.kind).toBe('buildkit');
});

test.each([
  ['an unknown field', { ...config, colour: 'red' }, '"colour"'],
  [
    'a wrong range',
    { ...config, engines: [{ kind: buildkit, versions: ['newest'] }] },
    'engines[0].versions[0]: not a version range: "newest"',
  ],
  ['a wrong platform', { ...config, platforms: ['windows/amd64'] }, 'platforms[0]: not a platform'],
  [
    'an engine that is none',
    { ...config, engines: [{ kind: 'buildkit', versions: ['0.34'] }] },
    'engines[0].kind: not an engine kind',
  ],
  ['a missing field', { ...config, runner: { containerd: '2.4.2', cni: '1.9.1', bake: 'buildkit' } }, 'runner.runc'],
  [
    'a baked kind that is not built',
    { ...config, runner: { ...config.runner, bake: 'moby' } },
    'runner.bake: no engine of kind "moby" (there is: buildkit)',
  ],
  ['nothing at all', undefined, '(top level)'],
])('%s is refused by the name of the field', (_, input, message) => {
  expect(errorOf(input)).toContain(message);
});

test('the value that is locked has engine kinds by name', () => {
  expect(JSON.stringify(configValue(parseConfig(config, 'x')))).toContain('{"kind":"buildkit","versions"');
});
