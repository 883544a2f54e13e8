import { apiUrl } from "./place";

// Call is a request as it is shown to people. times is how often it is made.
export type Call = { method: string; path: string; body?: unknown; headers?: Record<string, string>; stream?: boolean; times?: number };

// quote makes text one word of a shell.
export function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

// What a program is given as one argument may have 128 KiB: more goes through a pipe, for which a shell itself prints it.
const maxArgument = 30_000; // characters, of up to three bytes

// withBody adds a body to the words of a command. encoded says that it is in base64. What no argument can hold, or a terminal would
// take for a key that is pressed, goes through a pipe.
function withBody(words: string[], body: string, encoded = false): string {
  if (!encoded && !/[\0-\x08\x0b-\x1f\x7f]/.test(body)) {
    if (body.length <= maxArgument) return [...words, body.startsWith("@") ? "--data-raw" : "-d", quote(body)].join(" ");
    return `printf %s ${quote(body)} | ${words.join(" ")} --data-binary @-`;
  }
  const text = encoded ? body : btoa(Array.from(new TextEncoder().encode(body), (b) => String.fromCharCode(b)).join(""));
  return `printf %s ${quote(text)} | base64 -d | ${words.join(" ")} --data-binary @-`;
}

// curlOf returns a command that does the same with a key in $KEY. tenant is for whom an operator acts.
export function curlOf(call: Call, tenant?: string, root = apiUrl): string {
  const words = ["curl", call.stream ? "-Nu" : "-u", "$KEY:"];
  const hasBody = call.body !== undefined;
  if (call.method !== "GET" && !(call.method === "POST" && hasBody)) words.push("-X", call.method);
  words.push(quote(root + call.path));
  if (tenant) words.push("-H", quote(`Tenant: ${tenant}`));
  for (const [name, value] of Object.entries(call.headers ?? {})) words.push("-H", quote(`${name}: ${value}`));
  const one = hasBody ? withBody(words, typeof call.body === "string" ? call.body : JSON.stringify(call.body)) : words.join(" ");
  return (call.times ?? 1) > 1 ? `for n in $(seq ${call.times}); do ${one}; done` : one;
}

// Raw is a request to somebody else. A header whose value is hidden stands for a variable of the shell.
export type Raw = { method: string; url: string; headers: { name: string; value: string }[]; body: string; body_encoding: "utf8" | "base64"; client_certificate: boolean };

// hidden stands for a value that the server does not show.
export const hidden = "***";

// curlOfRaw returns a command that sends a request as it is.
export function curlOfRaw(r: Raw): string {
  const words = ["curl", "-gX", r.method, quote(r.url)]; // to curl itself [] and {} in an address mean several
  for (const { name, value } of r.headers) words.push("-H", value === hidden ? `"${name}: $${name.toUpperCase().replace(/\W/g, "_")}"` : quote(`${name}: ${value}`));
  if (r.client_certificate) words.push("--cert client.pem --key client-key.pem");
  return withBody(words, r.body, r.body_encoding === "base64");
}

// unchanged is the header by which something is made only where there is nothing yet, or changed only as it was seen.
export function unchanged(etag?: string): Record<string, string> {
  return etag === undefined ? { "If-None-Match": "*" } : { "If-Match": `"${etag}"` };
}

// pathOf puts names into a path and adds a query; what is undefined or empty is left out.
export function pathOf(parts: TemplateStringsArray, ...names: string[]): string {
  return parts.reduce((path, part, i) => path + encodeURIComponent(names[i - 1] ?? "") + part);
}

export function withQuery(path: string, query: Record<string, string | number | boolean | undefined>): string {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(query)) if (v !== undefined && v !== "") q.set(k, String(v));
  const text = q.toString();
  return text ? `${path}?${text}` : path;
}
