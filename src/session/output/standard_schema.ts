/**
 * The Standard Schema interface (https://standardschema.dev), as far as this library uses it.
 * @module
 */
import type { FromJsonSchema } from "./from_json_schema.ts";

/** A schema of any library that implements Standard Schema v1. */
export interface StandardSchemaV1<Input = unknown, Output = Input> {
  /** The interface every such library provides. */
  readonly "~standard": StandardSchemaProps<Input, Output>;
}

/** What a Standard Schema provides. */
export interface StandardSchemaProps<Input = unknown, Output = Input> {
  /** The interface's version. */
  readonly version: 1;
  /** The library's name. */
  readonly vendor: string;
  /** Checks a value. */
  readonly validate: (
    value: unknown,
  ) => StandardResult<Output> | Promise<StandardResult<Output>>;
  /** Types only; absent at run time. */
  readonly types?: StandardTypes<Input, Output> | undefined;
  /** The Standard JSON Schema extension, where the library has it. */
  readonly jsonSchema?: {
    /** Converts the input type. */
    readonly input: (options: { target: string }) => Record<string, unknown>;
    /** Converts the output type. */
    readonly output: (options: { target: string }) => Record<string, unknown>;
  } | undefined;
}

/** The types that a schema stands for. */
export interface StandardTypes<Input = unknown, Output = Input> {
  /** What goes in. */
  readonly input: Input;
  /** What comes out. */
  readonly output: Output;
}

/** The outcome of a check. */
export type StandardResult<Output> = StandardSuccess<Output> | StandardFailure;

/** The value fits. */
export interface StandardSuccess<Output> {
  /** The value as the schema gives it out. */
  readonly value: Output;
  /** Absent when the value fits. */
  readonly issues?: undefined;
}

/** The value does not fit. */
export interface StandardFailure {
  /** What is wrong. */
  readonly issues: readonly StandardIssue[];
}

/** One way in which a value does not fit. */
export interface StandardIssue {
  /** What is wrong, for people. */
  readonly message: string;
  /** Where. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/**
 * The type that a schema gives out; `unknown` where a JSON Schema is not written `as const`, or
 * says nothing (`any`).
 */
export type InferOutput<Schema extends object> = Schema extends StandardSchemaV1
  ? NonNullable<Schema["~standard"]["types"]>["output"]
  : FromJsonSchema<Schema> extends infer Type ? 0 extends 1 & Type ? unknown : Type
  : never;
