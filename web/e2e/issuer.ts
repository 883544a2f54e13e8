import { createHash, generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export const client = { id: "console", secret: "s3cret +&%=/:" };

const base64 = (text: string) => Buffer.from(text).toString("base64url");

// startIssuer starts an identity provider that takes everybody's word for who they are: it asks in which tenant somebody has which
// role, and lets them in or not.
export async function startIssuer(): Promise<{ url: string; stop: () => void }> {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const codes = new Map<string, URLSearchParams>(); // to what was asked for, and who said so
  let url = "";

  const token = (asked: URLSearchParams) => {
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: url, aud: client.id, sub: "ana", name: "Ana of <b>login</b>", iat: now, exp: now + 300, nonce: asked.get("nonce"), sluice_tenant: asked.get("tenant"), sluice_role: asked.get("role") };
    const text = `${base64(JSON.stringify({ alg: "EdDSA", kid: "one" }))}.${base64(JSON.stringify(claims))}`;
    return `${text}.${sign(null, Buffer.from(text), privateKey).toString("base64url")}`;
  };
  const proves = (asked: URLSearchParams, form: URLSearchParams) =>
    asked.get("redirect_uri") === form.get("redirect_uri") && asked.get("code_challenge") === createHash("sha256").update(form.get("code_verifier") ?? "").digest("base64url");
  const credential = `Basic ${Buffer.from([client.id, client.secret].map((s) => new URLSearchParams({ s }).toString().slice(2)).join(":")).toString("base64")}`;

  const server = createServer(async (req, res) => {
    const at = new URL(req.url ?? "/", url);
    const json = (status: number, body: unknown) => res.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
    const back = (to: URLSearchParams) => {
      to.set("state", at.searchParams.get("state") ?? "");
      res.writeHead(302, { Location: `${at.searchParams.get("redirect_uri")}?${to}` }).end();
    };
    switch (at.pathname) {
      case "/.well-known/openid-configuration":
        return json(200, { issuer: url, jwks_uri: `${url}/keys`, authorization_endpoint: `${url}/authorize`, token_endpoint: `${url}/token` });
      case "/keys":
        return json(200, { keys: [{ ...publicKey.export({ format: "jwk" }), kid: "one", use: "sig" }] });
      case "/authorize": {
        const hidden = [...at.searchParams].map(([name, value]) => `<input type="hidden" name="${name}" value="${value.replaceAll('"', "&quot;")}">`).join("");
        return res.writeHead(200, { "Content-Type": "text/html" }).end(`<!doctype html><title>Login</title><h1>Who are you?</h1>
          <form action="/decide">${hidden}<label>Tenant <input name="tenant"></label><label>Role <input name="role"></label>
          <button name="let" value="in">Let me in</button><button name="let" value="out">Deny</button></form>`);
      }
      case "/decide": {
        if (at.searchParams.get("let") === "out") return back(new URLSearchParams({ error: "access_denied", error_description: "<b>no</b>" }));
        const code = randomUUID();
        codes.set(code, at.searchParams);
        return back(new URLSearchParams({ code, session_state: "x" }));
      }
      case "/token": {
        let body = "";
        for await (const part of req) body += part;
        const form = new URLSearchParams(body);
        const asked = codes.get(form.get("code") ?? "");
        codes.delete(form.get("code") ?? "");
        if (req.headers.authorization !== credential || !asked || !proves(asked, form)) return json(400, { error: "invalid_grant" });
        return json(200, { token_type: "Bearer", access_token: randomUUID(), id_token: token(asked) });
      }
    }
    return res.writeHead(404).end();
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
