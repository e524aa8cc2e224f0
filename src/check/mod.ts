/**
 * Whether what callers give is what the library takes.
 *
 * @module
 */
export { checkArgument, checkOptions } from "./check.ts";
export { fitsJson, jsonMisfit, kindOf } from "./json_fit.ts";
export { followPointer, jsonPath, memberPath } from "./json_path.ts";
export {
  callback,
  count,
  date,
  either,
  elsewhere,
  flag,
  having,
  hinted,
  json,
  jsonObject,
  type Kind,
  kind,
  kvKind,
  kvPrefixKind,
  list,
  milliseconds,
  name,
  object,
  oneOf,
  type OptionKinds,
  pauseMilliseconds,
  record,
  required,
  type Shape,
  shape,
  signal,
  text,
  typeOf,
  variants,
} from "./kind.ts";
