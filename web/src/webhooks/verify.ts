// What an endpoint does to know that a request is ours, in programs that run as they stand. The tests run them, but for what stands
// around verify in each.

const node = (key: string, check: string) => `import crypto from "node:crypto";
${key}

// body: the bytes as they came, before anybody parses them; headers: with names in lower case
export function verify(body, headers) {
  const id = headers["webhook-id"], at = headers["webhook-timestamp"];
  if (!(Math.abs(Date.now() / 1000 - Number(at)) < 300)) return false; // somebody sends an old one again
  const signed = Buffer.concat([Buffer.from(\`\${id}.\${at}.\`), body]);
  return headers["webhook-signature"].split(" ").some((s) => ${check});
}`;

export const snippets: Record<"hmac" | "ed25519", Record<string, string>> = {
  hmac: {
    Node: node(
      'const secret = Buffer.from(process.env.WEBHOOK_SECRET.slice("whsec_".length), "base64");',
      `{
    const theirs = Buffer.from(s), ours = Buffer.from("v1," + crypto.createHmac("sha256", secret).update(signed).digest("base64"));
    return theirs.length === ours.length && crypto.timingSafeEqual(theirs, ours);
  }`,
    ),
    Python: `import base64, hashlib, hmac, os, time

secret = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))

# body: the bytes as they came, before anybody parses them; headers: with names in lower case
def verify(body, headers):
    at = headers["webhook-timestamp"]
    if abs(time.time() - int(at)) >= 300:
        return False  # somebody sends an old one again
    signed = f'{headers["webhook-id"]}.{at}.'.encode() + body
    ours = "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    return any(hmac.compare_digest(s, ours) for s in headers["webhook-signature"].split())`,
  },
  ed25519: {
    Node: node(
      `const key = crypto.createPublicKey({ // WEBHOOK_PUBLIC_KEY: whpk_…
  key: { kty: "OKP", crv: "Ed25519", x: Buffer.from(process.env.WEBHOOK_PUBLIC_KEY.slice("whpk_".length), "base64").toString("base64url") },
  format: "jwk",
});`,
      's.startsWith("v1a,") && crypto.verify(null, signed, key, Buffer.from(s.slice(4), "base64"))',
    ),
  },
};
