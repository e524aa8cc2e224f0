/** The rules by which JSR scores a package, as far as they can be told from the sources; `deno task check` applies them. */
import { docGaps } from "./doc_symbols.ts";

/** A rule, and whether it is kept; `null`: it is set on the site, such as the description. */
export interface ScoreRule {
  rule: string;
  points: number;
  kept: boolean | null;
}

/** What the score is made of. */
export interface ScoreFacts {
  /** The front page. */
  readme: string;
  /** What `deno doc --json` says. */
  json: string;
  /** `deno publish --dry-run` found no slow types. */
  fastTypes: boolean;
}

/** The rules of <https://jsr.io/docs/scoring>, applied. */
export function jsrScore({ readme, json, fastTypes }: ScoreFacts): ScoreRule[] {
  const { nodes }: { nodes: Record<string, { module_doc?: { doc?: string } }> } = JSON.parse(json);
  const { all, undocumented } = docGaps(json);
  return [
    { rule: "a README or a module doc", points: 2, kept: readme.trim() !== "" },
    { rule: "an example in it", points: 1, kept: /^```/m.test(readme) },
    {
      rule: "a module doc in every entry point",
      points: 1,
      kept: Object.values(nodes).every(({ module_doc }) => (module_doc?.doc ?? "") !== ""),
    },
    {
      rule: "80 % of the symbols are documented",
      points: 5,
      kept: all > 0 && undocumented.length <= all / 5,
    },
    { rule: "no slow types", points: 5, kept: fastTypes },
    { rule: "a description", points: 1, kept: null },
    { rule: "one runtime is marked as compatible, and a second", points: 2, kept: null },
    { rule: "provenance", points: 1, kept: null },
  ];
}

/** The score as lines for people, and what is wrong. */
export function report(rules: ScoreRule[]): { lines: string[]; broken: string[] } {
  const sum = (list: ScoreRule[]) => list.reduce((total, { points }) => total + points, 0);
  const checked = rules.filter(({ kept }) => kept !== null);
  return {
    lines: rules.map(({ rule, points, kept }) =>
      `${kept === null ? "on the site" : kept ? "ok" : "BROKEN"}: ${rule} (${points})`
    ).concat(
      `${sum(checked.filter(({ kept }) => kept))} of ${sum(checked)} that can be checked here`,
    ),
    broken: checked.filter(({ kept }) => !kept).map(({ rule }) => rule),
  };
}
