/**
 * What may not be done.
 * @module
 */
import { CodexError, type CodexErrorOptions } from "./codex_error.ts";

/** The call asks for more than the profile allows, such as a writable sandbox without consent. */
export class PolicyError extends CodexError {
  /** Creates the error. */
  constructor(message: string, options: CodexErrorOptions = {}) {
    super("policy", message, options);
  }
}

/** The server confirmed a wider policy than was asked for. No turn was run. */
export class PolicyMismatchError extends CodexError {
  /** Each field that differs: its name, what was asked and what the server confirmed. */
  readonly mismatches: PolicyMismatch[];

  /** Creates the error from the differing fields. */
  constructor(mismatches: PolicyMismatch[], options: CodexErrorOptions = {}) {
    super(
      "policyMismatch",
      `The server confirmed a wider policy than was asked for: ` +
        mismatches.map((m) => `${m.field}: asked ${m.asked}, confirmed ${m.confirmed}`).join("; ") +
        `. No turn was run.`,
      options,
    );
    this.mismatches = mismatches;
  }
}

/** One field of a policy that the server did not confirm as asked. */
export interface PolicyMismatch {
  /** The field, such as `sandbox`. */
  field: string;
  /** What was asked for. */
  asked: string;
  /** What the server confirmed. */
  confirmed: string;
}

/** This script's own permissions do not cover what the call asks codex to do. */
export class PermissionDeniedError extends CodexError {
  /** The Deno flags that are missing, ready to paste, such as `--allow-write=/srv/app`. */
  readonly missing: string[];

  /** Creates the error from what was attempted and the missing flags. */
  constructor(what: string, missing: string[], options: CodexErrorOptions = {}) {
    super(
      "permissionDenied",
      `${what} needs permissions that this script does not have. Run it with: ${
        missing.join(" ")
      }` +
        `, or ask for less.`,
      { ...options, data: { missing, ...options.data } },
    );
    this.missing = missing;
  }
}

/** A hook blocked the call, or failed while its `onError` is `"block"`. */
export class HookBlockedError extends CodexError {
  /** The hook's name. */
  readonly hookName: string;
  /** The phase in which it blocked. */
  readonly phase: string;
  /** The reason that the hook gave. */
  readonly reason: string;

  /** Creates the error. */
  constructor(hookName: string, phase: string, reason: string, options: CodexErrorOptions = {}) {
    super("hookBlocked", `The hook "${hookName}" blocked ${phase}: ${reason}`, {
      ...options,
      data: { hookName, phase, ...options.data },
    });
    this.hookName = hookName;
    this.phase = phase;
    this.reason = reason;
  }
}
