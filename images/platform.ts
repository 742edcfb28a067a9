/** A platform as OCI writes it (image-spec, image-index.md): `linux/amd64`, `linux/arm64`. */
export type Platform = `linux/${Architecture}`;
export type Architecture = 'amd64' | 'arm64';

export function parsePlatform(text: string): { os: 'linux'; architecture: Architecture } {
  return { os: 'linux', architecture: text.slice('linux/'.length) as Architecture };
}

/** The platform this process runs on, as OCI names it. */
export function hostPlatform(): string {
  return `${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}`;
}
