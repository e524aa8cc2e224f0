/** A made-up machine: grants by prefix as Deno gives them, and links. */
import { isInside, resolvePath } from "../../../src/platform/mod.ts";
import type { PolicyFacts } from "../../../src/permissions/policy/policy.ts";
import type { PermissionProbe } from "../../../src/permissions/probe.ts";

/** What a made-up script may do; absent: nothing. */
export interface Grants {
  read?: "all" | string[];
  write?: "all" | string[];
  net?: "all" | string[];
  everythingElse?: boolean;
}

/** Everything a script can have. */
export const ALL: Grants = { read: "all", write: "all", net: "all", everythingElse: true };

/** A probe over grants. */
export function probeOf(
  grants: Grants,
  enforcedBy: PermissionProbe["enforcedBy"] = "deno",
): PermissionProbe {
  const path = (granted: "all" | string[] | undefined) => (asked?: string): boolean =>
    granted === "all" ||
    (asked !== undefined && (granted ?? []).some((root) => isInside(asked, root)));
  const rest = () => grants.everythingElse === true;
  return {
    enforcedBy,
    read: path(grants.read),
    write: path(grants.write),
    net: (host) =>
      grants.net === "all" || (host !== undefined && (grants.net ?? []).includes(host)),
    run: rest,
    env: rest,
    sys: rest,
    ffi: rest,
  };
}

/** Facts of a machine whose links are given; paths that start with `/gone` can't be followed. */
export function factsOf(
  links: Record<string, string> = {},
  facts: Partial<PolicyFacts> = {},
): PolicyFacts {
  return {
    tmpdir: "/var/tmp/me",
    serverVersion: "0.169.0",
    realPath: (path) => {
      if (path.startsWith("/gone")) return null;
      const clean = resolvePath(path, ".");
      for (const [link, target] of Object.entries(links)) {
        if (clean === link) return target;
        if (clean.startsWith(`${link}/`)) return target + clean.slice(link.length);
      }
      return clean;
    },
    ...facts,
  };
}
