/**
 * Which directory is whose.
 * @module
 */
import { PolicyError, WebError } from "../../errors/mod.ts";
import { realPathOf } from "../../permissions/mod.ts";
import { isAbsolutePath, isInside } from "../../platform/mod.ts";
import { pathKind } from "../../platform/mod.ts";
import type { WebAdapterOptions } from "../options.ts";

/** Finds the tenants' directories and keeps them apart. */
export class Workspaces {
  readonly #cwd: WebAdapterOptions["cwd"];
  readonly #enforced: boolean;
  /** Real paths of the tenants seen so far. */
  readonly #known: Map<string, string> = new Map();

  /** Takes the bridge's `cwd`. */
  constructor(cwd: WebAdapterOptions["cwd"], enforced: boolean) {
    this.#cwd = cwd;
    this.#enforced = enforced;
  }

  /** The tenant's directory. Throws `WebError` for a name that could lead elsewhere, `PolicyError` for a directory that is no tenant's own. */
  async of(tenant: string): Promise<string> {
    if (typeof this.#cwd !== "function") return this.#cwd;
    if (!isPlainName(tenant)) {
      throw new WebError(
        403,
        "badTenant",
        "The tenant's name can't be used for a directory: it climbs, holds a separator or a control character.",
      );
    }
    const cwd: unknown = await this.#cwd(tenant);
    if (typeof cwd !== "string" || !isAbsolutePath(cwd)) {
      throw new PolicyError("cwd(tenant) must return an absolute path.");
    }
    if (!this.#enforced) return cwd;
    const real = pathKind(cwd) === "directory" ? realPathOf(cwd) : null;
    if (real === null) {
      throw new PolicyError(
        "cwd(tenant) must return a directory that exists and that this script may read. Create it first.",
      );
    }
    for (const [other, root] of this.#known) {
      if (other === tenant) continue;
      if (isInside(real, root) || isInside(root, real)) {
        throw new PolicyError(
          'cwd(tenant) returned a directory of another tenant, one inside of it, or one around it. Give each its own, or set isolation: "trusting".',
        );
      }
    }
    this.#known.set(tenant, real);
    return real;
  }
}

/** One part of a path, on every system: no separator, no control character, nothing that climbs. */
function isPlainName(name: string): boolean {
  // deno-lint-ignore no-control-regex
  return name !== "." && name !== ".." && !/[\\/\x00-\x1f\x7f]|^[A-Za-z]:/.test(name);
}
