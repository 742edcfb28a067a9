import type { ImageRecord, ReleaseRecord } from './record.ts';

/** The summary that ends `release --local`: images, smoke builds, steps, as text for a terminal or a CI log. */
export function releaseSummary({ images, smoke, steps }: ReleaseRecord): string {
  const built = steps.filter(({ cached }) => !cached);
  const imageRows = images.map((image) => [
    image.name,
    image.version,
    `${image.digest.slice(0, 19)}…`,
    megabytes(image.sizeBytes),
    megabytes(image.unpackedBytes),
    String(sharedLayers(image, images)),
    image.reused ? 'unchanged' : 'new',
  ]);
  const smokeRows = smoke.map(({ engine, cli, status, seconds }) => [engine, cli, status, `${seconds.toFixed(2)} s`]);
  return [
    table(['image', 'version', 'digest', 'MB', 'unpacked', 'shared layers', ''], imageRows),
    ...(smokeRows.length === 0 ? [] : [table(['smoke build: engine', 'CLI', 'result', 'time'], smokeRows)]),
    table(
      ['step', 'time', ''],
      steps.map(({ name, seconds, cached }) => [name, `${seconds.toFixed(2)} s`, cached ? 'unchanged' : 'done']),
    ),
    builtLine(built.map(({ name }) => name)),
  ].join('\n\n');
}

function builtLine(names: readonly string[]): string {
  const made = names.filter((name) => /^(compile|layer|layout)/.test(name));
  return made.length === 0
    ? 'Nothing was built: every input was seen before.'
    : `Built: ${made.length} of the steps above.`;
}

function sharedLayers(image: ImageRecord, all: readonly ImageRecord[]): number {
  return image.layers.filter((layer) => all.some((other) => other !== image && other.layers.includes(layer))).length;
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

/** Columns padded to their widest cell; figures to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => (row[i] ?? '').length)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (/^[\d.]+( s)?$/.test(cell) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(head), widths.map((width) => '─'.repeat(width)).join('  '), ...rows.map(line)].join('\n');
}
