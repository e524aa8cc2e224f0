import assert from "node:assert/strict";
import { WebError } from "../../../src/errors/mod.ts";
import { checkAccess, corsHeaders } from "../../../src/web/http/access.ts";
import { test } from "../../_harness.ts";

const JSON_TYPE = { "content-type": "application/json" };
const RULES = { origins: ["https://app.example"], hosts: [] as string[] };

type Case = [
  expected: string,
  name: string,
  method: string,
  headers: Record<string, string>,
  hosts?: string[],
];

const CASES: Case[] = [
  ["ok", "a GET without any origin", "GET", {}],
  ["ok", "a GET of the own origin", "GET", { origin: "http://bridge.test:8000" }],
  ["ok", "a GET of an allowed origin", "GET", { origin: "https://app.example" }],
  ["forbiddenOrigin", "a GET of another origin", "GET", { origin: "https://evil.example" }],
  ["forbiddenOrigin", "a GET of another port", "GET", { origin: "http://bridge.test:8001" }],
  ["forbiddenOrigin", "a GET of another scheme", "GET", { origin: "https://bridge.test:8000" }],
  ["forbiddenOrigin", "a GET of a sandboxed frame", "GET", { origin: "null" }],
  ["forbiddenOrigin", "a GET of a longer name", "GET", { origin: "https://app.example.evil.test" }],
  ["forbiddenOrigin", "an image of another site", "GET", { "sec-fetch-site": "cross-site" }],
  ["forbiddenOrigin", "an image of a sibling", "GET", { "sec-fetch-site": "same-site" }],
  ["ok", "an image of the own site", "GET", { "sec-fetch-site": "same-origin" }],
  ["ok", "an address typed by a person", "GET", { "sec-fetch-site": "none" }],
  ["ok", "a POST of JSON", "POST", JSON_TYPE],
  ["ok", "a POST of JSON with a charset", "POST", {
    "content-type": "Application/JSON; charset=utf-8",
  }],
  ["ok", "a POST with the header", "POST", { "x-requested-with": "fetch" }],
  ["csrf", "a POST without a type", "POST", {}],
  ["csrf", "a POST of a form", "POST", { "content-type": "application/x-www-form-urlencoded" }],
  ["csrf", "a POST of plain text", "POST", { "content-type": "text/plain;application/json" }],
  ["forbiddenOrigin", "a POST of another origin", "POST", {
    ...JSON_TYPE,
    origin: "https://evil.example",
  }],
  ["ok", "a listed host", "GET", {}, ["bridge.test:8000"]],
  ["ok", "a listed host name", "GET", {}, ["bridge.test"]],
  ["forbiddenHost", "another host", "GET", { origin: "http://bridge.test:8000" }, ["localhost"]],
];

for (const [expected, name, method, headers, hosts = []] of CASES) {
  test(`checkAccess() ${expected === "ok" ? "lets" : "stops"} ${name}`, () => {
    const facts = {
      method,
      url: new URL("http://bridge.test:8000/codex/health"),
      headers: new Headers(headers),
    };
    let got = "ok";
    try {
      checkAccess(facts, { ...RULES, hosts });
    } catch (error) {
      assert.ok(error instanceof WebError);
      assert.equal(error.status, 403);
      got = error.reason;
    }
    assert.equal(got, expected);
  });
}

test("corsHeaders() names an allowed origin and no other", () => {
  const url = new URL("http://bridge.test/");
  const of = (origin: string) => corsHeaders({ url, headers: new Headers({ origin }) }, RULES);
  assert.equal(of("https://app.example")["access-control-allow-origin"], "https://app.example");
  assert.deepEqual(of("https://evil.example"), {});
  assert.deepEqual(of("http://bridge.test"), {});
});
