/**
 * Writes `generated/schema.ts`: the table that `validator.ts` interprets, as JSON text. What answers to the server's
 * requests are made of is a table of its own.
 *
 * A type is a number (a primitive), a string (the name of a definition) or an array that starts with its kind:
 *
 * - `["?", type]` the type or `null`; `["a", type]` an array; `["m", type]` a map; `["u", ...types]` any of them;
 * - `["e", ...values]` one of these strings;
 * - `["o", options, name, type, …]` an object. A name ends in `?` when the field may be missing, in `~` when it
 *   may be and needs the experimental capability, in `!` when only what we send must have it. Options: 0, or `{r: type of other members, a: [object, …] of which one must fit too}`;
 * - `["t", tag, common, value, object, …]` an object told apart by the string in `tag`;
 * - `["x", open, [value, …], key, type, …]` one of these strings, or an object with only one of these keys;
 * - `["i", type, ...types]` the type, or, when it is received, one of the others.
 *
 * @module
 */
import { header } from "./header.ts";
import type { Field, Ir, ObjectIr, Protocol } from "./ir.ts";

type Json = number | string | Json[] | { [key: string]: Json };

const ANY = 0;

/** The text of `schema.ts`. */
export function emitSchema({ definitions, methods, version }: Protocol): string {
  const roots = new Set(methods.flatMap((m) => [m.params?.name, m.result]));
  const answers = methods.flatMap(({ kind, name, result }): [string, string][] =>
    kind === "serverRequest" && result !== null ? [[name, result]] : []
  );
  const ofAnswers = reachable(answers.map(([, type]) => type), definitions);
  const [lines, answerLines]: [string[], string[]] = [[], []];
  for (const [name, node] of definitions) {
    // References to primitives are written out, so that these have no line of their own.
    if (typeof encode(node, definitions) === "number" && !roots.has(name)) continue;
    const line = `${JSON.stringify(name)}:${JSON.stringify(encode(node, definitions))}`;
    (ofAnswers.has(name) ? answerLines : lines).push(line);
  }
  const types = answers.map(([method, type]) => `  ${JSON.stringify(method)}: "${type}",\n`);
  return `${header(version)}
/** The type of each answer to a server's request, by the request's method. */
export const answerTypes: Readonly<Record<string, string>> = {
${types.join("")}};

/** The definitions that answers are made of as one JSON object; \`src/protocol/table.ts\` says how to read it. */
export const answerSchemaText: string = ${template(answerLines)};

/** All other definitions. */
export const schemaText: string = ${template(lines)};
`;
}

/** The lines of a JSON object as the text of a template literal. */
function template(lines: readonly string[]): string {
  const text = `{${lines.join(",\n")}}`.replaceAll("\\", "\\\\").replaceAll("`", "\\`");
  return `\`${text.replaceAll("${", "\\${")}\``;
}

/** The definitions of those names and all that they refer to. */
function reachable(
  names: readonly string[],
  definitions: ReadonlyMap<string, Ir>,
): ReadonlySet<string> {
  const found = new Set<string>();
  const visit = (value: unknown): void => {
    if (typeof value === "string" && definitions.has(value)) {
      if (found.has(value)) return;
      found.add(value);
      visit(encode(definitions.get(value)!, definitions));
    } else if (typeof value === "object" && value !== null) Object.values(value).forEach(visit);
  };
  names.forEach(visit);
  return found;
}

function encode(node: Ir, definitions: ReadonlyMap<string, Ir>): Json {
  const inner = (child: Ir): Json => encode(child, definitions);
  switch (node.k) {
    case "any":
      return ANY;
    case "string":
      return node.nonEmpty ? 2 : 1;
    case "number":
      return 3;
    case "integer":
      return node.minimum === null ? 4 : 5 + node.minimum;
    case "boolean":
      return 7;
    case "null":
      return 8;
    case "ref": {
      const target = inner(definitions.get(node.name)!);
      return typeof target === "number" ? target : node.name;
    }
    case "enum":
      return ["e", ...node.values];
    case "array":
      return ["a", inner(node.of)];
    case "map":
      return ["m", inner(node.of)];
    case "nullable":
      return ["?", inner(node.of)];
    case "union":
      return ["u", ...node.of.map(inner)];
    case "external":
      return [
        "x",
        node.open ? 1 : 0,
        node.values,
        ...node.keys.flatMap(({ key, of }) => [key, inner(of)]),
      ];
    case "tagged": {
      const variants = node.variants.flatMap(({ values, of }) =>
        values.flatMap((value) => [value, object(of, inner, node.tag)])
      );
      const common = { fields: node.common, rest: null, closed: false, alternatives: [] };
      return ["t", node.tag, object({ k: "object", ...common }, inner), ...variants];
    }
    case "object":
      return object(node, inner);
  }
}

function object(node: ObjectIr, inner: (child: Ir) => Json, tag?: string): Json {
  const options: { [key: string]: Json } = {};
  if (node.rest !== null) options["r"] = inner(node.rest);
  if (node.alternatives.length > 0) options["a"] = node.alternatives.map(inner);
  const fields = node.fields.flatMap((field) => [
    field.name + suffix(field),
    field.name === tag ? 1 : fieldType(field, inner),
  ]);
  return ["o", Object.keys(options).length === 0 ? 0 : options, ...fields];
}

function suffix({ required, requiredIn, experimental }: Field): string {
  if (requiredIn) return "";
  return required ? "!" : experimental ? "~" : "?";
}

function fieldType({ of, alsoIn }: Field, inner: (child: Ir) => Json): Json {
  return alsoIn.length === 0 ? inner(of) : ["i", inner(of), ...alsoIn.map(inner)];
}
