/**
 * Errors that the AI SDK knows as its own: it recognises them by marks, not by their class.
 * @module
 */
import { CodexError } from "../../errors/mod.ts";
import { defined } from "../../json.ts";

/** Which of the AI SDK's errors an error is. */
export type CallErrorKind =
  | "APICallError"
  | "UnsupportedFunctionalityError"
  | "NoContentGeneratedError"
  | "InvalidPromptError";

/**
 * An error of a call through the AI SDK, which its `APICallError.isInstance` and the like recognise; `cause` is what happened.
 * The SDK tries again by itself what is `isRetryable`: a turn in which the model has answered never is, since it may have acted.
 *
 * ```ts
 * import { aiSdk } from "@codex/runtime";
 *
 * function explain(error: unknown): string {
 *   if (!(error instanceof aiSdk.ModelCallError)) return "something else";
 *   return error.isRetryable ? "may pass by" : error.message;
 * }
 * ```
 */
export class ModelCallError extends CodexError {
  /** Where the call went. */
  readonly url: string = "codex://app-server";
  /** Left empty: prompts stay out of errors. */
  readonly requestBodyValues: Readonly<Record<string, never>> = {};
  /** The HTTP status that an HTTP provider would have answered with, where there is one. */
  readonly statusCode?: number;
  /** `retry-after`, where it is known. */
  readonly responseHeaders?: Record<string, string>;
  /** Whether the SDK may try again. */
  readonly isRetryable: boolean;
  /** What is not supported, where that is the error. */
  readonly functionality?: string;

  /** Creates the error. */
  constructor(kind: CallErrorKind, message: string, options: ModelCallErrorOptions = {}) {
    const { isRetryable = false, statusCode, responseHeaders, functionality, ...rest } = options;
    super("modelCall", message, { retryable: isRetryable, ...rest });
    this.name = `AI_${kind}`;
    this.isRetryable = isRetryable;
    Object.assign(this, defined({ statusCode, responseHeaders, functionality }));
    for (const mark of ["vercel.ai.error", `vercel.ai.error.AI_${kind}`]) {
      Object.defineProperty(this, Symbol.for(mark), { value: true });
    }
  }
}

/** Options of {@linkcode ModelCallError}. */
export interface ModelCallErrorOptions {
  /** What happened. */
  cause?: unknown;
  /** Facts without payload values. */
  data?: Record<string, string | number | boolean | null>;
  /** Whether the SDK may try again. Default `false`. */
  isRetryable?: boolean;
  /** The HTTP status. */
  statusCode?: number;
  /** Headers of the answer. */
  responseHeaders?: Record<string, string>;
  /** What is not supported. */
  functionality?: string;
}
