import assert from "node:assert/strict";
import { WebError } from "../../../src/errors/mod.ts";
import { checkAccess, corsHeaders } from "../../../src/web/http/routes.ts";
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
  ["ok", "a GET of the own origin", "GET", { origin: "http://localhost:8000" }],
  ["ok", "a GET of an allowed origin", "GET", { origin: "https://app.example" }],
  ["forbiddenOrigin", "a GET of another origin", "GET", { origin: "https://evil.example" }],
  ["forbiddenOrigin", "a GET of another port", "GET", { origin: "http://localhost:8001" }],
  ["forbiddenOrigin", "a GET of another scheme", "GET", { origin: "https://localhost:8000" }],
  ["forbiddenOrigin", "a GET of a sandboxed frame", "GET", { origin: "null" }],
  ["forbiddenOrigin", "a GET of a longer name", "GET", { origin: "https://app.example.evil.test" }],
  ["forbiddenOrigin", "an image of another site", "GET", { "sec-fetch-site": "cross-site" }],
  ["forbiddenOrigin", "an image of a sibling", "GET", { "sec-fetch-site": "same-site" }],
  ["ok", "an image of the own site", "GET", { "sec-fetch-site": "same-origin" }],
  // As Next hands on what was asked of 127.0.0.1.
  ["ok", "a POST of the own origin, by the name that was asked for", "POST", {
    ...JSON_TYPE,
    host: "127.0.0.1:8000",
    origin: "http://127.0.0.1:8000",
  }],
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
  ["ok", "a listed host", "GET", {}, ["localhost:8000"]],
  ["ok", "a listed host name", "GET", {}, ["localhost"]],
  ["forbiddenHost", "another host", "GET", { origin: "http://localhost:8000" }, ["app.test"]],
  ["ok", "any host when all are", "GET", {}, ["*"]],
];

const NAMES: [expected: string, address: string, hosts?: string[]][] = [
  ["ok", "http://127.0.0.1:8000"],
  ["ok", "http://10.1.2.3"],
  ["ok", "http://[::1]:8000"],
  ["ok", "http://0x7f.1"],
  ["ok", "http://box.localhost:8000"],
  ["ok", "https://app.example"],
  // What stands behind a proxy that ends TLS sees this.
  ["ok", "http://app.example"],
  ["forbiddenHost", "http://rebound.evil.test"],
  ["forbiddenHost", "http://127.0.0.1.evil.test"],
  ["forbiddenHost", "http://localhost.evil.test"],
  ["forbiddenHost", "http://app.example.evil.test"],
  ["forbiddenHost", "http://1.2.3.4.5"],
  ["forbiddenHost", "http://127.0.0.1:8000", ["app.example"]],
];

test("a page whose own name was made to lead here gets nothing, unless the name is listed", () => {
  for (const [expected, address, hosts = []] of NAMES) {
    const asked = URL.parse(`${address}/codex/sessions`);
    if (asked === null) continue;
    // As a browser sends it: the page and the bridge have the same origin.
    const { origin, host } = asked;
    const plain = new Headers({ origin, "sec-fetch-site": "same-origin" });
    // As Next hands it on: the address is its own, and only the header tells the name.
    const own = new URL("http://localhost:3000/codex/sessions");
    const rewritten = new Headers({ host });
    // As a proxy hands it on: only the address tells the name.
    const proxied = new Headers({ host: own.host });
    for (const [url, headers] of [[asked, plain], [own, rewritten], [asked, proxied]] as const) {
      if (headers !== plain && hosts.length > 0) continue;
      let got = "ok";
      try {
        checkAccess({ method: "GET", url, headers }, { ...RULES, hosts });
      } catch (error) {
        got = (error as WebError).reason;
      }
      assert.equal(got, expected, `${address} as ${url}`);
    }
  }
});

for (const [expected, name, method, headers, hosts = []] of CASES) {
  test(`checkAccess() ${expected === "ok" ? "lets" : "stops"} ${name}`, () => {
    const facts = {
      method,
      url: new URL("http://localhost:8000/codex/health"),
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
  const url = new URL("http://localhost/");
  const of = (origin: string) => corsHeaders({ url, headers: new Headers({ origin }) }, RULES);
  assert.equal(of("https://app.example")["access-control-allow-origin"], "https://app.example");
  assert.deepEqual(of("https://evil.example"), {});
  assert.deepEqual(of("http://localhost"), {});
});
