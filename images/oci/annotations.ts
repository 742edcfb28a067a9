import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The predefined annotations (image-spec, annotations.md) of an image of this repo; the same are its labels. */
export function annotations(
  root: string,
  image: { readonly title: string; readonly version: string; readonly description: string },
): Record<string, string> {
  const { license, repository, author } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    license: string;
    repository: { url: string };
    author: string;
  };
  const source = repository.url.replace(/^git\+/, '').replace(/\.git$/, '');
  return {
    'org.opencontainers.image.title': image.title,
    'org.opencontainers.image.version': image.version,
    'org.opencontainers.image.description': image.description,
    'org.opencontainers.image.licenses': license,
    'org.opencontainers.image.source': source,
    'org.opencontainers.image.url': source,
    'org.opencontainers.image.documentation': `${source}#readme`,
    'org.opencontainers.image.vendor': author,
    'org.opencontainers.image.authors': author,
  };
}
