/**
 * What takes room in the images: every program, its share of its image, and each image's layers as they are stored. From the compile cache
 * and dist/oci; nothing is booted.
 *
 *     node test/bench/sizes.ts [--json]
 */
import { parseArgs } from 'node:util';
import { compile } from '../../images/compile/compile.ts';
import type { CompileInput } from '../../images/compile/input.ts';
import { components } from '../../images/components.ts';
import { engineEntries } from '../../images/engines/engine-image.ts';
import { hostPlatform } from '../../images/platform.ts';
import type { ReleaseRecord } from '../../release/local/record.ts';
import { table } from '../../release/local/summary.ts';
import { bedplateJson, CACHE, CONFIG, LOCK, ROOT } from '../harness.ts';

const { values } = parseArgs({ options: { json: { type: 'boolean', default: false } } });
const { images } = await bedplateJson<ReleaseRecord>(['build']);
const platform = hostPlatform();
const parts = components({ root: ROOT, config: CONFIG, lock: LOCK, platform, host: platform });
const compiled = (input: CompileInput) => compile(input, { lock: LOCK, cache: CACHE });

interface Row {
  readonly image: string;
  readonly program: string;
  readonly sizeBytes: number;
}

const rows: Row[] = [];
for (const input of [parts.bedplated, parts.containerd, parts.runc, parts.cni]) {
  const { programs } = await compiled(input);
  rows.push(
    ...programs.map(({ name, sizeBytes }) => ({ image: 'runner', program: `${input.name}: ${name}`, sizeBytes })),
  );
}
for (const { kind, version, input } of parts.engines) {
  const result = await compiled(input);
  const packed = engineEntries(kind, version, result).map((entry) => entry.path.split('/').at(-1));
  rows.push(
    ...result.programs
      .filter(({ name }) => packed.includes(name))
      .map(({ name, sizeBytes }) => ({ image: `engine-${kind.kind}:${version}`, program: name, sizeBytes })),
  );
}

const unpackedBytes = (row: Row) =>
  images.find((image) => row.image === image.name || row.image === `${image.name}:${image.version}`)?.unpackedBytes ??
  Number.NaN;

if (values.json) {
  console.log(JSON.stringify({ images, programs: rows }));
} else {
  const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);
  console.log(
    table(
      ['image', 'MB stored', 'MB unpacked', 'layers'],
      images.map((i) => [
        `${i.name}:${i.version}`,
        megabytes(i.sizeBytes),
        megabytes(i.unpackedBytes),
        String(i.layers.length),
      ]),
    ),
  );
  console.log(
    `\n${table(
      ['image', 'program', 'MB', 'share'],
      rows.map((row) => [
        row.image,
        row.program,
        megabytes(row.sizeBytes),
        `${((100 * row.sizeBytes) / unpackedBytes(row)).toFixed(0)} %`,
      ]),
    )}`,
  );
}
