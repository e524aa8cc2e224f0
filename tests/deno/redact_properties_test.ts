/** Whatever stands under a secret's name, or looks like a secret, is taken out, wherever it stands. */
import assert from "node:assert/strict";
import fc from "npm:fast-check@4.10.2";
import { redact, Redactor, redactText } from "../../src/redact.ts";
import { isSecretName, SECRET_VARIABLES } from "../../src/redact.ts";
import { test } from "../_harness.ts";
import "./_seed.ts";

const letters = "ABCDEFGHJKMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz23456789".split("");
const secret = fc.array(fc.constantFrom(...letters), { minLength: 24, maxLength: 40 })
  .map((chars) => `Z${chars.join("")}`);
const variable = fc.constantFrom(...SECRET_VARIABLES)
  .map((pattern) => pattern.replaceAll("*", "X").replaceAll("?", "L"));
const name = fc.oneof(
  variable,
  fc.constantFrom(
    ...("password api_key apiKey X-Api-Key x-auth-token PRIVATE-TOKEN access_token clientSecret aws_secret_access_key " +
      "npm_auth_token db_password passphrase _authToken").split(" "),
  ),
);

const TEXTS: ((name: string, value: string) => string)[] = [
  (n, v) => `${n}=${v}`,
  (n, v) => `export ${n}='${v}'`,
  (n, v) => `a: 1\n${n}: ${v}\nb: 2`,
  (n, v) => `+  ${n}: ${v}`,
  (n, v) => `a: 1\n${n}: |\n  ${v}\n  ${v}\nb: 2`,
  (n, v) => JSON.stringify({ a: `x\n- ${n}: >-\n    ${v}\n` }),
  (n, v) => JSON.stringify({ a: `x\n${n}: ${v}\n` }),
  (n, v) => `config.yml:3:${n}: ${v}`,
  (n, v) => `${n} = "${v}"`,
  (n, v) => `${n} = ${v}`,
  (n, v) => `{"${n}": "${v}"}`,
  (n, v) => JSON.stringify(JSON.stringify({ [n]: v })),
  (n, v) => JSON.stringify({ [n]: { a: [{ b: v }, v] }, c: "d" }),
  (n, v) => JSON.stringify(JSON.stringify({ x: [{ [n]: [[v]] }] })),
  (n, v) => JSON.stringify({ [n]: `a"b\\${v}` }),
  (n, v) => `${n}\t${v}`,
  (n, v) => JSON.stringify(`a\tb\n${n}\t${v}\nc`),
  (n, v) => `{"name":"${n}","value":"${v}"}`,
  (n, v) => `${n}=$a${v}`,
  (n, v) => `${n}=[redacted]${v}`,
  (n, v) => `${n}=(${v})`,
];
const LOOKS: ((value: string) => string)[] = [
  (v) => `Authorization: Bearer ${v}`,
  (v) => `curl -u me:${v} https://example.org`,
  (v) => `curl -H "X-Api-Key: ${v}" x`,
  (v) => `mysql -u root -p${v} db`,
  (v) => `redis-cli -a ${v} ping`,
  (v) => `docker login -u me -p ${v}`,
  (v) => `vault token ${v}7`,
  (v) => `SharedAccessSignature=${v}`,
  (v) => `curl -b "sid=${v}" https://example.org`,
  (v) => `Cookie: sid=${v}; other=${v}`,
  (v) => `example.org\tTRUE\t/\tTRUE\t0\tsid\t${v}`,
  (v) => JSON.stringify(JSON.stringify(["redis-cli", "-a", v])),
  (v) => `tool --api-key "${v}"`,
  (v) => `set -x API_KEY ${v}`,
  (v) => `machine example.org login me password ${v}`,
  (v) => `https://me:${v}@example.org/x`,
  (v) => `https://me:a/${v}@b@example.org/x`,
  (v) => `https://${v}@example.org/x`,
  (v) => `https://x.example.org/?sig=${v}&X-Amz-Signature=${v}`,
  (v) => `https://hooks.slack.com/services/T000/B000/${v}`,
  ...["sk_live_", "glpat-", "npm_", "hf_", "ya29.", "pypi-", "ghp_", "sk-", "whsec_"]
    .map((head) => (v: string) => `found ${head}${v}.`),
  (v) => `-----BEGIN PGP PRIVATE KEY BLOCK-----\n${v}\n-----END PGP PRIVATE KEY BLOCK-----`,
];

test("a value under a secret's name is taken out of every text and object", () => {
  fc.assert(
    fc.property(name, secret, fc.nat(TEXTS.length - 1), (named, value, at) => {
      assert.ok(isSecretName(named), named);
      const text = TEXTS[at]!(named, value);
      const clean = redactText(text);
      assert.ok(!clean.includes(value), `${text} → ${clean}`);
      assert.equal(redactText(clean), clean);
      for (
        const object of [
          { [named]: value },
          { [named]: { value } },
          { [named]: { a: [{ b: { c: value } }] } },
          { [named + (/[A-Z]$/.test(named) ? "S" : "s")]: [value, { a: [value] }] },
          { text: JSON.stringify({ a: { [named]: { b: [{ c: value }] } } }) },
          { a: [{ [named]: [value] }] },
          { name: named, value },
        ]
      ) {
        assert.ok(!JSON.stringify(redact(object)).includes(value), JSON.stringify(object));
      }
    }),
    { numRuns: 2_000 },
  );
});

test("what looks like a secret is taken out of every text, in base64 too", () => {
  fc.assert(
    fc.property(secret, fc.nat(LOOKS.length - 1), (value, at) => {
      const text = LOOKS[at]!(value);
      const clean = redactText(text);
      assert.ok(!clean.includes(value), `${text} → ${clean}`);
      assert.equal(redactText(clean), clean);
      const encoded = redact({ dataBase64: btoa(text) }) as { dataBase64: string };
      assert.equal(atob(encoded.dataBase64), clean);
    }),
    { numRuns: 1_000 },
  );
});

test("a long line costs no more than it should", () => {
  for (
    const part of [
      ...["a:", "password ", '="', "://x:", "curl -u ", '\\"key', "sk-", "x-y-", "name: "],
      ...["redis-cli ", "docker login ", "curl -b ", "curl ", "vault token ", "mongo -p "],
      ...["token: |\n ", "token: |\\n ", "x\tTRUE\t", "mysql -p", "\\n"],
      ...[
        '"token":{',
        '{"token":["',
        "token = [",
        '"secret":{"a":"',
        "token\t",
        '\\\\\\"token\\\\\\":',
      ],
    ]
  ) {
    const text = part.repeat(Math.ceil(100_000 / part.length));
    const begun = performance.now();
    redactText(text);
    assert.ok(performance.now() - begun < 3_000, part);
  }
});

/** What is known for a secret only by what comes after it, or by two members of an object. */
const LATE = /^(?:https:\/\/|\{"name"|example\.org\t|sk-\w)|^curl -b "|'\$|\bZ\w+7$/;

test("a secret that comes in pieces leaves no more than its beginning", () => {
  const longest = (text: string, value: string): number => {
    for (let length = value.length; length > 0; length--) {
      for (let at = 0; at + length <= value.length; at++) {
        if (text.includes(value.slice(at, at + length))) return length;
      }
    }
    return 0;
  };
  const all: ((name: string, value: string) => string)[] = [
    ...TEXTS,
    ...LOOKS.map((look) => (_: string, value: string) => look(value)),
  ];
  fc.assert(
    fc.property(
      ...[name, secret, fc.nat(all.length - 1), fc.integer({ min: 1, max: 30 }), fc.boolean()],
      (named: string, value: string, at: number, size: number, bytes: boolean) => {
        const text = `Some words.\n${all[at]!(named, value)}\nAnd more.`;
        const redactor = new Redactor();
        let written = "";
        for (let i = 0; i < text.length; i += size) {
          const piece = text.slice(i, i + size);
          const delta = bytes ? { deltaBase64: btoa(piece) } : { delta: piece };
          const { params } = redactor.message("inbound", {
            method: "item/x/delta",
            params: { itemId: "i", ...delta },
          }) as { params: { delta?: string; deltaBase64?: string } };
          written += params.delta ?? atob(params.deltaBase64!);
        }
        if (LATE.test(all[at]!(named, value))) return;
        // These are told by their length.
        const needed = /(?:npm|hf|gsk|gh\w)_Z/.test(text) ? 20 : 10;
        assert.ok(longest(written, value) <= size + needed, `${text} → ${written}`);
        assert.ok(written.startsWith("Some wo"), written);
      },
    ),
    { numRuns: 3_000 },
  );
});

test("pieces without secrets stay as they are, also beside a secret", () => {
  const redactor = new Redactor();
  const write = (delta: string, itemId = "i") =>
    (redactor.message("inbound", {
      method: "item/agentMessage/delta",
      params: { threadId: "t", itemId, delta },
    }) as { params: { delta: string } }).params.delta;
  assert.deepEqual(
    ["the key is ", "sk-abc", "def", "ghijkl", "mnop", "qrst. And ", "that ", "was it."].map((
      piece,
    ) => write(piece)),
    [
      ...["the key is ", "sk-abc", "def", "[redacted]", "[redacted]", "[redacted]. And "],
      ...["that ", "was it."],
    ],
  );
  write("password=", "a");
  assert.equal(write("plain", "b"), "plain");
  assert.equal(write("hunter2", "a"), "[redacted]");
});
