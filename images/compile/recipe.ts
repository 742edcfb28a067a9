/** How the `go` command is asked to compile a module's programs. All of it goes into the input digest. */
export interface GoRecipe {
  /** Import paths of the main packages, or `.` and the like for a module of this repo. */
  readonly packages: readonly string[];
  readonly tags: readonly string[];
  /** `-X name=value` settings of the linker, as [name, value]. */
  readonly variables: readonly (readonly [string, string])[];
  /** With cgo and the locked C toolchain, linked statically. */
  readonly cgo: boolean;
}
