/** What is taken out of messages, and what is not. */
import assert from "node:assert/strict";
import { RpcError } from "../../src/errors/mod.ts";
import type { JsonValue } from "../../src/json.ts";
import { redact, redactDiagnostic, REDACTED, Redactor, redactText } from "../../src/redact.ts";
import { isSecretName } from "../../src/redact.ts";
import { test } from "../_harness.ts";
import { DIALECTS, scenarios, transcript } from "../_transcripts.ts";

// Put together at run time, so that no scanner takes this file for a leak.
const KEY = ["sk", "proj", "a1B2c3D4e5F6g7H8"].join("-");
const JWT = ["eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiIxMjM0NTYifQ", "c2lnbmF0dXJl"].join(".");
const GITHUB = "ghp_" + "a1B2c3D4e5".repeat(3);
const SECRET = "hunter2-hunter2";

const VALUES: { name: string; value: JsonValue; clean: JsonValue }[] = [
  {
    name: "the API key of account/login/start",
    value: { id: 1, method: "account/login/start", params: { type: "apiKey", apiKey: SECRET } },
    clean: { id: 1, method: "account/login/start", params: { type: "apiKey", apiKey: REDACTED } },
  },
  {
    name: "names of members",
    value: {
      result: { structuredContent: { used: { [KEY]: 12, [`Bearer ${GITHUB}`]: { n: 1 } } } },
    },
    clean: {
      result: {
        structuredContent: { used: { [REDACTED]: 12, [`Bearer ${REDACTED}`]: { n: 1 } } },
      },
    },
  },
  {
    name: "tokens given by the client",
    value: { type: "chatgptAuthTokens", accessToken: SECRET, chatgptAccountId: "acc" },
    clean: { type: "chatgptAuthTokens", accessToken: REDACTED, chatgptAccountId: "acc" },
  },
  {
    name: "the content of auth.json",
    value: {
      OPENAI_API_KEY: SECRET,
      tokens: { id_token: SECRET, access_token: SECRET, refresh_token: SECRET, account_id: "acc" },
      last_refresh: "2026-01-01",
    },
    clean: {
      OPENAI_API_KEY: REDACTED,
      tokens: {
        id_token: REDACTED,
        access_token: REDACTED,
        refresh_token: REDACTED,
        account_id: REDACTED,
      },
      last_refresh: "2026-01-01",
    },
  },
  {
    name: "headers",
    value: { headers: { Authorization: `Basic ${SECRET}`, "X-Api-Key": SECRET, accept: "*/*" } },
    clean: { headers: { Authorization: REDACTED, "X-Api-Key": REDACTED, accept: "*/*" } },
  },
  {
    name: "environment variables by their names",
    value: { env: { MY_KEY: "a1", DB_PASSWORD: "b", AWS_SECRET: "c", X_TOKEN: "d", HOME: "/h" } },
    clean: {
      env: {
        MY_KEY: REDACTED,
        DB_PASSWORD: REDACTED,
        AWS_SECRET: REDACTED,
        X_TOKEN: REDACTED,
        HOME: "/h",
      },
    },
  },
  {
    name: "what MCP servers and providers are given, dotted or nested",
    value: {
      mcp_servers: {
        docs: { command: "docs", env: { FOO: "a1" }, env_http_headers: { X: "VAR" } },
      },
      "mcp_servers.a": { url: "http://a", http_headers: { "X-Foo": "b2" } },
      "mcp_servers.b.env": { FOO: "c3" },
      "mcp_servers.b.env.BAR": "d4",
      "mcp_servers.b.args": ["e5"],
      model_providers: { p: { name: "P", http_headers: { "X-Foo": "f6" } } },
      "model_providers.q.http_headers.X-Foo": "g7",
    },
    clean: {
      mcp_servers: {
        docs: { command: "docs", env: { FOO: REDACTED }, env_http_headers: { X: "VAR" } },
      },
      "mcp_servers.a": { url: "http://a", http_headers: { "X-Foo": REDACTED } },
      "mcp_servers.b.env": { FOO: REDACTED },
      "mcp_servers.b.env.BAR": REDACTED,
      "mcp_servers.b.args": ["e5"],
      model_providers: { p: { name: "P", http_headers: { "X-Foo": REDACTED } } },
      "model_providers.q.http_headers.X-Foo": REDACTED,
    },
  },
  {
    name: "lists under a secret's name",
    value: { "set-cookie": ["a=b", ""], credentials: [{ user: "u", password: SECRET }] },
    clean: { "set-cookie": [REDACTED, ""], credentials: [{ user: REDACTED, password: REDACTED }] },
  },
  {
    name: "everything below a secret's name, however deep",
    value: {
      password: { a: [SECRET, { b: 1234 }] },
      tokens: [SECRET, 5],
      apiKeys: { prod: { current: SECRET } },
      auth: { type: "string", description: "d", value: SECRET },
    },
    clean: {
      password: { a: [REDACTED, { b: REDACTED }] },
      tokens: [REDACTED, 5],
      apiKeys: { prod: { current: REDACTED } },
      auth: { type: "string", description: "d", value: REDACTED },
    },
  },
  {
    name: "variables in pairs",
    value: { env: [["API_KEY", SECRET], ["HOME", "/root"], ["DB_PASS", ""]] },
    clean: { env: [["API_KEY", REDACTED], ["HOME", "/root"], ["DB_PASS", ""]] },
  },
  {
    name: "secrets deep in texts",
    value: [{ a: [{ text: `use ${KEY} now` }] }, "plain"],
    clean: [{ a: [{ text: `use ${REDACTED} now` }] }, "plain"],
  },
];

for (const { name, value, clean } of VALUES) {
  test(`redact() takes out ${name}, and leaves what it was given alone`, () => {
    const before = JSON.stringify(value);
    assert.deepEqual(redact(value), clean);
    assert.equal(JSON.stringify(value), before);
    assert.deepEqual(redact(clean), clean);
    assert.equal(redact(clean), clean);
  });
}

const KEPT: JsonValue[] = [
  "--env=API_TOKEN=$CI_TOKEN <password>${env.PASSWORD}</password> --env=HOME=/root",
  "'password: at least 8 letters' (password) => login(password)",
  "- name: DB_PASSWORD\n  value: $(OTHER)\n- name: LOG\n  value: token\n- name: password\n  in: query",
  `tls.crt: ${btoa(`-----BEGIN CERTIFICATE-----\n${"MIIE".repeat(20)}`)} of a secret`,
  `key: ${btoa(`-----BEGIN PUBLIC KEY-----\n${"MIIE".repeat(20)}`)}`,
  "see http:\\/\\/host:8080\\/a@b for the token",
  null,
  7,
  "",
  "a text without anything",
  { tokenUsage: { totalTokens: 12, inputTokens: 3 }, maxTokens: "5", modelContextWindow: 1 },
  { tokens: { input: 5, output: "7" }, totalTokens: "1,000", tokenUsage: { tokens: [1] } },
  '{"tokens":{"input":5,"output":"7"},"totalTokens":"5","tokenUsage":{"total":"x"}}',
  '{"properties":{"password":{"type":"string","format":"password"}}}',
  "C:\\secret\\tmp and /etc/secret\\tmp",
  { schema: { properties: { password: { type: "string" }, token: { type: "string" } } } },
  { nextCursor: "abc", contentTokenCount: null, isSecret: true, key: "value", env_key: "MY_VAR" },
  { apiKey: "", token: null, max_token: 5 },
  "the keyboard tokenizer is a key feature of task-management-systems",
  "const token = tokens[0]; if (password === undefined) throw new Error('no password');",
  "export OPENAI_API_KEY=$MY_KEY",
  "interface Login { password: string; apiKey: string }",
  "https://example.org/a?page=2&q=keys",
  "risk-averse-investments and sk-1",
  'redis-cli -a "$PASS" ping',
  "docker run -p 8080:80 nginx login",
  "vault token create -ttl=1h",
  "vault token lookup",
  "mysql -p db",
  "mkdir -p a/login && unzip -p a.zip",
  "curl -b jar.txt https://example.org",
  "curl -u me https://example.org:8080",
  "curl -u me:$PASS https://example.org",
  "gzip -P a.txt; zipgrep -P abc a.zip",
  "docker run --name login-page -p 80:80 x",
  'x --password "$PASS" --token $TOKEN && setx PASSWORD $DB_PASS',
  "curl -H X-Api-Key:$KEY h && vault login $VAULT2_TOKEN",
  "use <password> for the password",
  "echo 'some text' | tool --tokenize; x-echo abc | sudo -S ls",
  "echo $PASS | sudo -S ls; echo y | sudo apt install x; echo a | sudo tee b",
  "aws ecr get-login-password | docker login -u AWS --password-stdin example.org",
  "openssl req -x509 -keyout k.pem; openssl rand -hex 16; htpasswd -c f me",
  ["mysql", "-p", "db"],
  ["docker", "login", "example.org"],
  ["redis-cli", "-a"],
  ["password", "token"],
  ["API_KEY", "HOME", "PATH"],
  { required: ["cookie", "authorization"] },
  "summary: |\n  a password\nsteps: >\n  b",
];

test("redact() returns the very value when there is nothing to take out", () => {
  for (const value of KEPT) {
    assert.equal(redact(value), value, JSON.stringify(value));
  }
});

test("redactDiagnostic() takes out the values that codex refused, and keeps what was asked for", () => {
  const told: [string, string][] = [
    [
      'error: invalid type: string "hunter2-header", expected a map in `env_http_headers`',
      `error: invalid type: string "${REDACTED}", expected a map in \`env_http_headers\``,
    ],
    ["unknown variant `hunter2 value`, expected", `unknown variant \`${REDACTED}\`, expected`],
    ["unknown variant `thread/begin`, expected", "unknown variant `thread/begin`, expected"],
    [`api_key = "${SECRET}"`, `api_key = "${REDACTED}"`],
  ];
  for (const [text, clean] of told) assert.equal(redactDiagnostic(text), clean);
});

const TEXTS: [text: string, clean: string][] = [
  [`docker run --env=API_TOKEN=${SECRET} x`, `docker run --env=API_TOKEN=${REDACTED} x`],
  [`curl --header 'apikey: ${SECRET}' x`, `curl --header 'apikey: ${REDACTED}' x`],
  [`config["api_key"] => "${SECRET}"`, `config["api_key"] => "${REDACTED}"`],
  [`"API_TOKEN" => "${SECRET}"`, `"API_TOKEN" => "${REDACTED}"`],
  [`API_TOKEN=>'${SECRET}'`, `API_TOKEN=>'${REDACTED}'`],
  [`<password>${SECRET}</password>`, `<password>${REDACTED}</password>`],
  [`Authorization: Bearer ${SECRET}`, `Authorization: ${REDACTED}`],
  [`curl -H "authorization: Basic dXNlcjpwYXNz" x`, `curl -H "authorization: ${REDACTED}" x`],
  [`sent bearer ${SECRET}.`, `sent bearer ${REDACTED}`],
  [`key ${KEY}!`, `key ${REDACTED}!`],
  [`jwt=${JWT}`, `jwt=${REDACTED}`],
  [`git clone https://u:${SECRET}@host/x`, `git clone https://u:${REDACTED}@host/x`],
  [`push with ${GITHUB}`, `push with ${REDACTED}`],
  [`OPENAI_API_KEY=${SECRET} codex`, `OPENAI_API_KEY=${REDACTED} codex`],
  [`export DB_PASSWORD='${SECRET}'`, `export DB_PASSWORD='${REDACTED}'`],
  [`{"access_token":"${SECRET}","a":1}`, `{"access_token":"${REDACTED}","a":1}`],
  [`{\\"refresh_token\\": \\"${SECRET}\\"}`, `{\\"refresh_token\\": \\"${REDACTED}\\"}`],
  [`{"out":"a\\nPAT: ${SECRET}"}`, `{"out":"a\\nPAT: ${REDACTED}"}`],
  [`{"secret":{"value":"${SECRET}"},"a":"b"}`, `{"secret":{"value":"${REDACTED}"},"a":"b"}`],
  [`{"tokens":["${SECRET}",{"a":"7"}]}`, `{"tokens":["${REDACTED}",{"a":"7"}]}`],
  [`{"password":"a\\"${SECRET}","a":1}`, `{"password":"${REDACTED}","a":1}`],
  [`{"password":{"a":["${SECRET}`, `{"password":{"a":["${REDACTED}`],
  [`secret = { value = "${SECRET}" }`, `secret = { value = "${REDACTED}" }`],
  [`user\tme\npassword\t${SECRET}\nb`, `user\tme\npassword\t${REDACTED}\nb`],
  [`{"out":"a\\npassword\\t${SECRET}\\nb"}`, `{"out":"a\\npassword\\t${REDACTED}\\nb"}`],
  [`api_key = "${SECRET}"`, `api_key = "${REDACTED}"`],
  [`GET /x?access_token=${SECRET}&y=1`, `GET /x?access_token=${REDACTED}&y=1`],
  [`tool --api-key ${SECRET} --out f`, `tool --api-key ${REDACTED} --out f`],
  [`tool --token=${SECRET}`, `tool --token=${REDACTED}`],
  [`redis-cli -h h -a '${SECRET} b' ping`, `redis-cli -h h -a '${REDACTED}' ping`],
  [`bash -lc 'redis-cli -a ${SECRET} ping'`, `bash -lc 'redis-cli -a ${REDACTED} ping'`],
  [`docker login -u me -p ${SECRET} h`, `docker login -u me -p ${REDACTED} h`],
  [`vault token revoke ${SECRET}`, `vault token revoke ${REDACTED}`],
  [`vault login ${SECRET}`, `vault login ${REDACTED}`],
  [`SharedAccessSignature=${SECRET}`, `SharedAccessSignature=${REDACTED}`],
  [`SharedAccessSignature sr=a&sig=${SECRET}`, `SharedAccessSignature sr=a&sig=${REDACTED}`],
  [
    `password:\n  a: ${SECRET}\n  b:\n    - "${SECRET} x"\nuser: me`,
    `password:\n  a: ${REDACTED}\n  b:\n    - "${REDACTED}"\nuser: me`,
  ],
  [`+ tokens: # all\n+ - ${SECRET}\n+ user: me`, `+ tokens: # all\n+ - ${REDACTED}\n+ user: me`],
  [`  api_keys:\n  - ${SECRET}\n  user: me`, `  api_keys:\n  - ${REDACTED}\n  user: me`],
  [
    `{"t":"password:\\n  a: ${SECRET}\\n  b: \\"${SECRET}\\""}`,
    `{"t":"password:\\n  a: ${REDACTED}\\n  b: \\"${REDACTED}\\""}`,
  ],
  [`password: |\n  ${SECRET}\n\n  b\nuser: me`, `password: |\n  ${REDACTED}\nuser: me`],
  [`- token: >-\n    ${SECRET}\n  user: me`, `- token: >-\n    ${REDACTED}\n  user: me`],
  [`+  token: |\n+    ${SECRET}\n+  user: me`, `+  token: |\n+    ${REDACTED}\n+  user: me`],
  [`curl -sSu me:${SECRET} h`, `curl -sSu me:${REDACTED} h`],
  [`curl -b 'sid=${SECRET}; a=b' h`, `curl -b 'sid=${REDACTED}' h`],
  [`curl -b sid=${SECRET} https://h/x`, `curl -b sid=${REDACTED} https://h/x`],
  [`curl --oauth2-bearer ${SECRET} h`, `curl --oauth2-bearer ${REDACTED} h`],
  [`mysql -uroot -p${SECRET} db`, `mysql -uroot -p${REDACTED} db`],
  [`mariadb-dump -u r -p${SECRET}`, `mariadb-dump -u r -p${REDACTED}`],
  [
    `#HttpOnly_h\tTRUE\t/\tTRUE\t0\tsid\t${SECRET}`,
    `#HttpOnly_h\tTRUE\t/\tTRUE\t0\tsid\t${REDACTED}`,
  ],
  [`document.cookie = "sid=${SECRET}"`, `document.cookie = "${REDACTED}"`],
  [`Set-Cookie: sid=${SECRET}; Path=/`, `Set-Cookie: ${REDACTED}`],
  [`sqlcmd -S h -P ${SECRET}`, `sqlcmd -S h -P ${REDACTED}`],
  [`ldapsearch -x -w ${SECRET} -b dc`, `ldapsearch -x -w ${REDACTED} -b dc`],
  [`mongosh -u me -p ${SECRET}`, `mongosh -u me -p ${REDACTED}`],
  [`mosquitto_pub -u a -P ${SECRET}`, `mosquitto_pub -u a -P ${REDACTED}`],
  [`unzip -P ${SECRET} a.zip`, `unzip -P ${REDACTED} a.zip`],
  [`smbclient -U me%${SECRET} //h`, `smbclient -U me%${REDACTED} //h`],
  [`rpcclient -U me%${SECRET} h`, `rpcclient -U me%${REDACTED} h`],
  [`smbget -U me%${SECRET} x`, `smbget -U me%${REDACTED} x`],
  [`tsql -S h -P ${SECRET}`, `tsql -S h -P ${REDACTED}`],
  [`DB_CONN_STR=${SECRET}`, `DB_CONN_STR=${REDACTED}`],
  ...["-U", "--user", "--proxy-user"].map((option): [string, string] => [
    `curl ${option} me:${SECRET} h`,
    `curl ${option} me:${REDACTED} h`,
  ]),
  [`curl -u me:${"x".repeat(2_000)} h`, `curl -u me:${REDACTED} h`],
  [`openssl rsa -passin pass:${SECRET}`, `openssl rsa -passin pass:${REDACTED}`],
  [`curl -u "me:${SECRET}&x" h`, `curl -u "me:${REDACTED}" h`],
  [`openssl enc -k ${SECRET} -in a`, `openssl enc -k ${REDACTED} -in a`],
  [`openssl enc -K ${SECRET} -in a`, `openssl enc -K ${REDACTED} -in a`],
  [`openssl dgst -hmac ${SECRET} a`, `openssl dgst -hmac ${REDACTED} a`],
  ...[
    ...("sk- sess- ghp_ gho_ github_pat_ npm_ hf_ gsk_ glpat- xai- pypi- whsec_ shpat_ dop_v1_ ya29. hvs. sk_live_ " +
      "rk_test_ xoxb- AGE-SECRET-KEY-1").split(" ").map((begin) => begin + "A1B2C3D4E5".repeat(3)),
    `SG.${"a1B2c3D4e5".repeat(2)}.${"a1B2c3D4e5".repeat(2)}`,
    `AKIA${"A1B2".repeat(4)}`,
    `AIza${"a1B2c".repeat(7)}`,
    JWT,
  ].map((token): [string, string] => [`a ${token} b`, `a ${REDACTED} b`]),
  [`htpasswd -bnBC 10 me ${SECRET} > x`, `htpasswd -bnBC 10 me ${REDACTED} > x`],
  [`htpasswd -b x me '${SECRET}' && ls`, `htpasswd -b x me '${REDACTED}' && ls`],
  ...["docker login -u me --password-stdin h", "gh auth login --with-token", "sudo -k -S ls"]
    .flatMap((reader) =>
      [`echo '${SECRET}' |`, `echo -n ${SECRET}|`, `printf '%s\\n' "${SECRET}" |`]
        .map((line): [string, string] => [
          `${line} ${reader}`,
          `${line.replace(SECRET, REDACTED)} ${reader}`,
        ])
    ),
  [`echo 'me:${SECRET}' | sudo chpasswd`, `echo '${REDACTED}' | sudo chpasswd`],
  // The same as JSON within text, however often it is escaped.
  ...[
    ["redis-cli", "-a"],
    ["htpasswd", "-nb", "me"],
    ["docker", "login", "-p"],
    ["vault", "login"],
  ].map((words): [string, string] => {
    const twice = (last: string) => JSON.stringify(JSON.stringify([...words, last]));
    return [twice(SECRET), twice(REDACTED)];
  }),
  ...["password: |\n  ", "a: 1\ntoken: ", "redis-cli -a "].map((head): [string, string] => {
    const twice = (value: string) => JSON.stringify({ text: `${head}${value}\nuser: me` });
    return [twice(SECRET), twice(REDACTED)];
  }),
  // As terminals show it: grep, jq and others colour names and values.
  [`DB_\x1b[01;31m\x1b[KPASSWORD\x1b[m\x1b[K=${SECRET}`, `DB_PASSWORD=${REDACTED}`],
  [`\x1b[34;1m"password"\x1b[0m:\x1b[32m"${SECRET}"\x1b[0m`, `"password":"${REDACTED}"`],
  [`{"out":"\\u001B[36mapi_key\\u001b[0m: ${SECRET}"}`, `{"out":"api_key: ${REDACTED}"}`],
  [`/in?to=%2Fcb%3Ftoken%3D${SECRET}%26a%3Db`, `/in?to=%2Fcb%3Ftoken%3D${REDACTED}%26a%3Db`],
  [`client_secret%3d${SECRET}`, `client_secret%3d${REDACTED}`],
  // The environment of a process, as `/proc` has it.
  [`PATH=/bin\0API_TOKEN=${SECRET}\0A=b`, `PATH=/bin\0API_TOKEN=${REDACTED}\0A=b`],
  // Some programs escape the slashes of JSON, some its signs.
  [`"postgres:\\/\\/u:${SECRET}@h\\/db"`, `"postgres:\\/\\/u:${REDACTED}@h\\/db"`],
  [`user\\u003du\\u0026password\\u003d${SECRET}`, `user\\u003du\\u0026password\\u003d${REDACTED}`],
  ...["[a]\npassword=", "password: ", "aws_secret_access_key = ", "a\n\ntoken=", 'pass = "'].map(
    (head): [string, string] => {
      const inside = (value: string) =>
        JSON.stringify({ out: `${head}${value}${head.endsWith('"') ? '"' : ""}\nb=c` });
      return [inside(SECRET), inside(REDACTED)];
    },
  ),
  ...[
    ["- name: DB_PASSWORD\n  value: ", "\n- name: B"],
    ['+  - name: DB_PASSWORD\n+    value: "', '"\n'],
    ['<property name="password" value="', '"/>'],
    ['<add key="ApiKey"\n     value="', '" />'],
  ].flatMap(([head, end]): [string, string][] => {
    const text = (value: string) => `${head}${value}${end}`;
    const inside = (value: string) => JSON.stringify({ out: `a: b\n${text(value)}` });
    return [[text(SECRET), text(REDACTED)], [inside(SECRET), inside(REDACTED)]];
  }),
  ...["RSA PRIVATE", "PRIVATE", "OPENSSH PRIVATE", "EC PRIVATE"].map((kind): [string, string] => {
    const key = btoa(`-----BEGIN ${kind} KEY-----\n${"MIIE".repeat(20)}\n`);
    return [`tls.key: ${key}\na: b`, `tls.key: ${REDACTED}\na: b`];
  }),
  [
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nxyz\n-----END RSA PRIVATE KEY-----\n",
    `-----BEGIN RSA PRIVATE KEY-----${REDACTED}-----END RSA PRIVATE KEY-----\n`,
  ],
];

for (const [text, clean] of TEXTS) {
  test(`redactText() turns ${clean.split("\n")[0]} out`, () => {
    assert.equal(redactText(text), clean);
    assert.equal(redactText(clean), clean);
  });
}

test("isSecretName() knows secrets by their names", () => {
  const secret =
    "apiKey api_key x-api-key ACCESS_TOKEN accessToken idToken client_secret DB_PASSWORD " +
    "password Authorization GOOGLE_APPLICATION_CREDENTIALS privateKey bearer_token npm_auth_token";
  for (const name of secret.split(" ")) assert.equal(isSecretName(name), true, name);
  const harmless = "key tokens totalTokens tokenUsage cursor keyboard envKey cacheKey itemId " +
    "authorizationUrl promptCacheKey PATH HOME";
  for (const name of harmless.split(" ")) assert.equal(isSecretName(name), false, name);
});

test("Redactor knows a secret question by its id, also when that looks like a secret", () => {
  const redactor = new Redactor();
  const id = "sk-abcdefghijklmnop";
  const params = { questions: [{ id, header: "", question: "?", isSecret: true }] };
  redactor.message("inbound", { id: 7, method: "item/tool/requestUserInput", params });
  const answer = { id: 7, result: { answers: { [id]: { answers: ["hunter2"] } } } };
  assert.doesNotMatch(JSON.stringify(redactor.message("outbound", answer)), /hunter2/);
});

test("Redactor takes out answers to secret questions, and only those", () => {
  const redactor = new Redactor();
  const question = {
    id: 0,
    method: "item/tool/requestUserInput",
    params: { questions: [{ id: "pin", isSecret: true }, { id: "color", isSecret: false }] },
  };
  const answer = {
    id: 0,
    result: { answers: { pin: { answers: ["1234"] }, color: { answers: ["red"] } } },
  };
  assert.equal(redactor.message("inbound", question), question);
  // The client's own call with the same id is another matter.
  assert.equal(redactor.message("outbound", { id: 0, method: "x", params: {} }) !== null, true);
  assert.deepEqual(redactor.message("outbound", answer), {
    id: 0,
    result: { answers: { pin: { answers: [REDACTED] }, color: { answers: ["red"] } } },
  });
  // One whose question was not seen, as by a sink that fell behind, may be secret.
  const hidden = { pin: { answers: [REDACTED] }, color: { answers: [REDACTED] } };
  assert.deepEqual(redactor.message("outbound", answer), { id: 0, result: { answers: hidden } });
});

test("Redactor finds a coloured secret in pieces, and leaves the colours of others", () => {
  const redactor = new Redactor();
  const next = (delta: string) => {
    const params = { threadId: "t", itemId: "i", delta };
    const method = "item/commandExecution/outputDelta";
    const clean = redactor.message("inbound", { method, params });
    return (clean as unknown as { params: { delta: string } }).params.delta;
  };
  const other = "\x1b[32mplain words\x1b[0m\n";
  assert.equal(next(other), other);
  assert.equal(next("\x1b[36mapi_key\x1b[0m: \x1b[33mhunt"), `api_key: ${REDACTED}`);
  assert.equal(next("er2-hunter2\x1b[0m\n"), `${REDACTED}\n`);
  assert.equal(next(other), other);
});

test("Redactor finds in pieces what is known by what is behind it, and leaves ports and elements", () => {
  const secret = "q8Zr4Tn1Wx7Lp0Vb3Ky6";
  const inPieces = (pieces: readonly string[]) => {
    const redactor = new Redactor();
    const method = "item/agentMessage/delta";
    return pieces.map((delta) => {
      const params = { threadId: "t", turnId: "u", itemId: "i", delta };
      const clean = redactor.message("inbound", { method, params });
      return (clean as unknown as { params: { delta: string } }).params.delta;
    }).join("");
  };
  const cut = (text: string) => {
    const twice = Array.from(text, (_, at) => [text.slice(0, at), text.slice(at)]);
    return [...twice, ...[1, 2, 3, 7].map((n) => text.match(new RegExp(`.{1,${n}}`, "gs"))!)];
  };
  for (
    const text of [
      `postgres://user:${secret}@host:5432/db`,
      `{"url":"https:\\/\\/user:${secret}@host\\/x"}`,
      `<password>${secret}</password>`,
      `<a><password>${secret}</password></a>`,
    ]
  ) {
    for (const pieces of cut(text)) {
      assert.ok(!inPieces(pieces).includes(secret), JSON.stringify(pieces));
    }
  }
  const urls = ["http://localhost:8080/path", "(http://localhost:3000), `http://[::1]:80`."];
  for (const text of [...urls, "<b>bold</b> and <i>more</i>", "see a://b:"]) {
    for (const pieces of cut(text)) assert.equal(inPieces(pieces), text);
  }
});

test("redact() finds nothing in the recorded conversations but the login", () => {
  for (const dialect of DIALECTS) {
    for (const scenario of scenarios(dialect)) {
      for (const { m } of transcript(dialect, scenario)) {
        if (m.method === "account/login/start") assert.notEqual(redact(m), m);
        else assert.equal(redact(m), m, `${scenario}: ${JSON.stringify(redact(m))}`);
      }
    }
  }
});

test("redact() is linear: large odd texts are quick", () => {
  const texts = [
    "password:\n".repeat(40_000),
    "password:\n" + '  a: "'.repeat(60_000),
    `secret:\n${"\n".repeat(100_000)}secret:\n${"- ".repeat(100_000)}`,
    "a".repeat(2_000_000) + " key",
    `"token": "`.repeat(100_000),
    "key ".repeat(500_000),
    "=".repeat(1_000_000) + "password",
    "-----BEGIN PRIVATE KEY-----".repeat(20_000),
    "http://".repeat(200_000) + "x@ secret",
    "curl ".repeat(200_000),
    "key: a \nvalue".repeat(100_000),
    "LS0tLS1CRUdJTi".repeat(100_000),
    'password = \\"'.repeat(50_000),
    ...["docker login ", "htpasswd -b x ", "echo x | sudo ", "printf %s ", "openssl -k x "]
      .map((text) => text.repeat(50_000)),
  ];
  for (const text of texts) {
    const begun = performance.now();
    redactText(text);
    const ms = performance.now() - begun;
    assert.ok(ms < 10_000, `${text.slice(0, 30)}… took ${ms} ms`);
  }
});

test("redactText() finds the option of a program whatever stands between them", () => {
  for (
    const line of [
      `curl -X POST https://h \\\n  -H 'Accept: a' \\\n  -u me:${SECRET} \\\n  -d x`,
      `curl -X POST https://h \\\r\n  -u me:${SECRET} \\\r\n  -d x`,
      `curl -X POST https://h \`\n  -u me:${SECRET} \`\n  -d x`,
      `curl "https://h/x?a=1&b=2" -u me:${SECRET}`,
      `curl -H 'Content-Type: application/json; charset=utf-8' -u me:${SECRET} h`,
      `docker login \\\n  -u me \\\n  -p ${SECRET} \\\n  h`,
      `mysql -u me \\\n  -p${SECRET}`,
      `curl -s https://curl.example/curl -u me:${SECRET}`,
      `mysqldump -u me mysql -p${SECRET}`,
      `docker login a docker login -u me -p ${SECRET}`,
      `zip -q zip.zip a -P ${SECRET}`,
    ]
  ) assert.equal(redactText(line), line.replace(SECRET, REDACTED));
});

test("redact() reads a list of words as the command that it is, and a pair as a header", () => {
  const rows: [JsonValue, JsonValue][] = [
    [["redis-cli", "-a", SECRET, "ping"], ["redis-cli", "-a", REDACTED, "ping"]],
    [["/usr/bin/mysql", `-p${SECRET}`], ["/usr/bin/mysql", `-p${REDACTED}`]],
    [["docker", "login", "-p", SECRET], ["docker", "login", "-p", REDACTED]],
    [["vault", "login", SECRET], ["vault", "login", REDACTED]],
    [
      ["curl", "-u", `me:${SECRET}`, "-H", `Cookie: sid=${SECRET}`],
      ["curl", "-u", `me:${REDACTED}`, "-H", `Cookie: ${REDACTED}`],
    ],
    [["bash", "-lc", `redis-cli -a ${SECRET}`], ["bash", "-lc", `redis-cli -a ${REDACTED}`]],
    [{ headers: [["Cookie", `sid=${SECRET}`]] }, { headers: [["Cookie", REDACTED]] }],
  ];
  for (const [value, clean] of rows) assert.deepEqual(redact(value), clean);
});

test("redact() survives depth and odd names", () => {
  let deep: JsonValue = "x";
  for (let i = 0; i < 3000; i++) deep = [deep];
  redact(deep);
  const odd = JSON.parse(`{"__proto__":{"apiKey":"${SECRET}"},"constructor":"x"}`) as JsonValue;
  assert.equal(
    JSON.stringify(redact(odd)),
    `{"__proto__":{"apiKey":"${REDACTED}"},"constructor":"x"}`,
  );
});

test("the words of a command line are redacted after an option that names a secret", () => {
  const argv = (option: string) => ["tool", option, SECRET, "--verbose", "yes"];
  for (const option of ["--token", "--api-key", "-password"]) {
    const clean = ["tool", option, REDACTED, "--verbose", "yes"];
    assert.deepEqual(redact({ command: argv(option) }), { command: clean });
    assert.equal(redactText(JSON.stringify(argv(option))), JSON.stringify(clean));
    assert.equal(redactText(`${option} ${SECRET} --verbose`), `${option} ${REDACTED} --verbose`);
  }
  const others = ["tool", "--name", "plain", "--token", "--verbose"];
  assert.equal(redactText(JSON.stringify(others)), JSON.stringify(others));
  for (
    const text of [
      `setx API_KEY ${SECRET}`,
      `sshpass -p ${SECRET} ssh h`,
      `hvs.${"a1B2".repeat(6)}`,
    ]
  ) {
    assert.ok(redactText(text).includes(REDACTED) && !redactText(text).includes(SECRET), text);
  }
});

test("the data of a server's error is redacted like its message", () => {
  const refused = `invalid type: string "${SECRET}", expected a map`;
  const error = new RpcError("m", -1, refused, { apiKey: SECRET, detail: [refused] });
  assert.doesNotMatch(`${error} ${JSON.stringify(error)}`, /hunter2/);
  assert.doesNotMatch(JSON.stringify([error.rpcMessage, error.rpcData]), /hunter2/);
});

test("a word of millions of characters hides what it stands in, and throws nothing", () => {
  for (const begin of ["Bearer ", KEY, GITHUB, "glpat-"]) {
    const clean = redactText(`before ${begin}${"a1".repeat(4_000_000)} after`);
    assert.ok(clean.includes(REDACTED) && clean.length < 1000, `${begin}: ${clean.length}`);
  }
});
