/**
 * The type of the values that a JSON Schema written `as const` stands for.
 * @module
 */
import type { JsonValue } from "../../json.ts";

/** The values of a literal schema, as far as its types, members, lists and enums say; other schemas give `any`. */
export type FromJsonSchema<
  Schema,
  Type = Schema extends { readonly type: infer Named } ? Named : unknown,
> = Schema extends { readonly const: infer Value } ? Value
  : Schema extends { readonly enum: readonly (infer Value)[] } ? Value
  : Schema extends { readonly anyOf: readonly (infer Member)[] } ? FromJsonSchema<Member>
  : Type extends readonly (infer Each)[] ? FromJsonSchema<Schema, Each>
  : Type extends "string" ? string
  : Type extends "number" | "integer" ? number
  : Type extends "boolean" ? boolean
  : Type extends "null" ? null
  : Type extends "array"
    ? Schema extends { readonly items: infer Items } ? FromJsonSchema<Items>[] : JsonValue[]
  : Type extends "object" ? Schema extends { readonly properties: infer Properties } ?
        & {
          [
            Key in keyof Properties as Schema extends
              { readonly required: readonly (infer Named)[] } ? Key extends Named ? Key : never
              : never
          ]: FromJsonSchema<Properties[Key]>;
        }
        & {
          [
            Key in keyof Properties as Schema extends
              { readonly required: readonly (infer Named)[] } ? Key extends Named ? never : Key
              : Key
          ]?: FromJsonSchema<Properties[Key]>;
        }
    : Record<string, JsonValue>
  // deno-lint-ignore no-explicit-any
  : any;
