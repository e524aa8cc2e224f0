/**
 * The import graph of the library's own source, read from its text: which file imports which names from which other
 * file, types included. It needs no tool of any runtime, so that the tests over it run on Deno, Bun and Node.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root directory, with `/` at its end. */
export const ROOT: string = fileURLToPath(new URL("../", import.meta.url));

/** One import or re-export. */
export interface Edge {
  /** The importing file, relative to the root, with `/`. */
  from: string;
  /** The imported file. */
  to: string;
  /** Exported names of `to`; `*` stands for all. */
  names: { theirs: string; ours: string }[];
  /** No code is loaded for it. */
  typeOnly: boolean;
  /** It is an `export … from`. */
  reExport: boolean;
  /** It is an `import("…")`, which loads nothing before it runs. */
  dynamic: boolean;
}

/** A source file. */
export interface SourceFile {
  /** Relative to the root, with `/`. */
  path: string;
  /** Names that it declares and exports itself. */
  exports: string[];
  /** Those of them that are types. */
  types: Set<string>;
  /** What it says, comments left out. */
  code: string;
  /** What it imports and re-exports. */
  edges: Edge[];
}

/** Every file of `mod.ts` and `src`; the protocol's generator is a program of its own and left out. */
export function readSource(): Map<string, SourceFile> {
  const files = ["mod.ts", ...list("src")].filter((path) =>
    path.endsWith(".ts") && !path.startsWith("src/protocol/generator/")
  );
  return new Map(files.map((path) => [path, readFile(path)]));
}

/** Every test and every tool beside them, read in the same way. */
export function readTests(): SourceFile[] {
  const isSource = (path: string) => path.endsWith(".ts") && !path.includes("/transcripts/");
  return [...list("tests"), ...list("src/protocol/generator")].filter(isSource).map(readFile);
}

/** Files below a folder, relative to the root. */
export function list(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    return entry.isDirectory() ? list(path) : [path];
  }).sort();
}

const FROM = /^(import|export)\s+(type\s+)?(\{[^}]*\}|\*(?:\s+as\s+\w+)?|\w+)\s+from\s+"([^"]+)"/gm;
const BARE = /^import\s+"([^"]+)"/gm;
const DYNAMIC = /\bimport\("(\.[^"]+)"\)/g;
const DECLARED =
  /^export\s+(?:declare\s+)?(?:abstract\s+)?(?:async\s+)?(function\*?|const|let|class|interface|type|enum)\s+(\w+)/gm;

function readFile(path: string): SourceFile {
  const text = readFileSync(join(ROOT, path), "utf8").replaceAll("\r\n", "\n");
  const edges: Edge[] = [];
  const target = (specifier: string) =>
    relative(ROOT, join(ROOT, dirname(path), specifier)).replaceAll("\\", "/");
  for (const [, verb, type, clause, specifier] of text.matchAll(FROM)) {
    const names = namesIn(clause!);
    edges.push({
      from: path,
      to: target(specifier!),
      names,
      typeOnly: type !== undefined || (names.length > 0 && names.every((name) => name.type)),
      reExport: verb === "export",
      dynamic: false,
    });
  }
  for (const [, specifier] of text.matchAll(BARE)) {
    edges.push(plain(path, target(specifier!), []));
  }
  for (const [, specifier] of text.matchAll(DYNAMIC)) {
    const all = [{ theirs: "*", ours: "*" }];
    edges.push({ ...plain(path, target(specifier!), all), dynamic: true });
  }
  const declared = [...text.matchAll(DECLARED)];
  return {
    path,
    edges,
    exports: [...new Set(declared.map((found) => found[2]!))],
    types: new Set(
      declared.filter((found) => /^(interface|type)$/.test(found[1]!)).map((found) => found[2]!),
    ),
    code: text.replace(/^\s*(\/\*\*?|\*|\/\/).*$/gm, ""),
  };
}

function plain(from: string, to: string, names: Edge["names"]): Edge {
  return { from, to, names, typeOnly: false, reExport: false, dynamic: false };
}

function namesIn(clause: string): { theirs: string; ours: string; type: boolean }[] {
  if (clause === "*") return [{ theirs: "*", ours: "*", type: false }];
  if (clause.startsWith("*")) {
    return [{ theirs: "*", ours: clause.replace(/^\*\s+as\s+/, ""), type: false }];
  }
  if (!clause.startsWith("{")) return [{ theirs: "default", ours: clause, type: false }];
  return clause.slice(1, -1).split(",").map((part) => part.trim()).filter(Boolean).map((part) => {
    const type = part.startsWith("type ");
    const [theirs, ours] = part.replace(/^type\s+/, "").split(/\s+as\s+/);
    return { theirs: theirs!, ours: ours ?? theirs!, type };
  });
}

/** Groups of files (or of whatever `key` makes of them) that import each other in a circle. */
export function circles(nodes: Iterable<string>, next: (node: string) => string[]): string[][] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (node: string) => {
    index.set(node, index.size);
    low.set(node, index.get(node)!);
    stack.push(node);
    for (const other of next(node)) {
      if (!index.has(other)) {
        visit(other);
        low.set(node, Math.min(low.get(node)!, low.get(other)!));
      } else if (stack.includes(other)) {
        low.set(node, Math.min(low.get(node)!, index.get(other)!));
      }
    }
    if (low.get(node) !== index.get(node)) return;
    const circle = stack.splice(stack.indexOf(node));
    if (circle.length > 1 || next(node).includes(node)) found.push(circle.sort());
  };
  for (const node of nodes) if (!index.has(node)) visit(node);
  return found;
}

/** The files that are loaded when `mod.ts` is imported. */
export function loadedModules(source: Map<string, SourceFile>): Set<string> {
  const loaded = new Set(["mod.ts"]);
  for (const path of loaded) {
    for (const edge of source.get(path)!.edges) {
      if (!edge.typeOnly && !edge.dynamic) loaded.add(edge.to);
    }
  }
  return loaded;
}

if (import.meta.main) console.log(`${loadedModules(readSource()).size} modules are loaded`);
