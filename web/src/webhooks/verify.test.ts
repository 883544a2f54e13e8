import { spawnSync } from "node:child_process";
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { expect, test } from "vitest";
import { snippets } from "./verify";

const body = Buffer.from('{"order":7,"é":"\\n"}\n');
const id = "msg_0603hz5c0c01g0003w50";
const now = String(Math.floor(Date.now() / 1000));
const signed = (at: string) => Buffer.concat([Buffer.from(`${id}.${at}.`), body]);

// Requests as they come, and whether they are to be taken.
function requests(by: (signed: Buffer) => string, foreign: string) {
  const old = String(Number(now) - 3600);
  const headers = (at: string, signature: string) => ({ "webhook-id": id, "webhook-timestamp": at, "webhook-signature": signature });
  return [
    { headers: headers(now, by(signed(now))), body, good: true },
    { headers: headers(now, `${foreign} ${by(signed(now))} v2,x`), body, good: true }, // while a rotation lasts
    { headers: headers(now, foreign), body, good: false },
    { headers: headers(now, by(signed(now)).replace(/.{4}$/, "é===")), body, good: false },
    { headers: headers(old, by(signed(old))), body, good: false },
    { headers: headers(now, by(signed(old))), body, good: false },
    { headers: headers(now, by(signed(now))), body: Buffer.concat([body, Buffer.from(" ")]), good: false },
  ];
}

function run(program: string, args: string[], env: Record<string, string>) {
  const { stdout, stderr, status } = spawnSync(program, args, { env: { ...process.env, ...env }, encoding: "utf8" });
  expect(stderr).toBe("");
  expect(status).toBe(0);
  return JSON.parse(stdout) as boolean[];
}

const inNode = (code: string, list: ReturnType<typeof requests>, env: Record<string, string>) =>
  run(process.execPath, ["--input-type=module", "-e", `${code}\nconsole.log(JSON.stringify(${JSON.stringify(list.map((r) => ({ ...r, body: r.body.toString("base64") })))}.map((r) => verify(Buffer.from(r.body, "base64"), r.headers))));`], env);

const inPython = (code: string, list: ReturnType<typeof requests>, env: Record<string, string>) =>
  run("python3", ["-c", `${code}\nimport json\nprint(json.dumps([verify(base64.b64decode(r["body"]), r["headers"]) for r in json.loads(os.environ["LIST"])]))`], {
    ...env,
    LIST: JSON.stringify(list.map((r) => ({ ...r, body: r.body.toString("base64") }))),
  });

test("the programs that verify by a secret take what is signed with it, and nothing else", () => {
  const secret = Buffer.alloc(32, 7);
  const by = (key: Buffer) => (text: Buffer) => `v1,${createHmac("sha256", key).update(text).digest("base64")}`;
  const list = requests(by(secret), by(Buffer.alloc(32, 8))(signed(now)));
  const env = { WEBHOOK_SECRET: `whsec_${secret.toString("base64")}` };
  const want = list.map((r) => r.good);
  expect(inNode(snippets.hmac.Node ?? "", list, env)).toEqual(want);
  // HTTP has no such letter in a header, and Python compares none.
  const ascii = list.filter((r) => !/é/.test(r.headers["webhook-signature"]));
  expect(inPython(snippets.hmac.Python ?? "", ascii, env)).toEqual(ascii.map((r) => r.good));
});

test("the program that verifies by a public key takes what the pair has signed, and nothing else", () => {
  const pair = generateKeyPairSync("ed25519");
  const foreign = generateKeyPairSync("ed25519");
  const list = requests((text) => `v1a,${sign(null, text, pair.privateKey).toString("base64")}`, `v1a,${sign(null, signed(now), foreign.privateKey).toString("base64")}`);
  const raw = Buffer.from(pair.publicKey.export({ format: "jwk" }).x ?? "", "base64url").toString("base64");
  expect(inNode(snippets.ed25519.Node ?? "", list, { WEBHOOK_PUBLIC_KEY: `whpk_${raw}` })).toEqual(list.map((r) => r.good));
});
