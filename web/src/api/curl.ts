import { apiUrl } from "./place";

// Call is a request as it is shown to people.
export type Call = { method: string; path: string; body?: unknown; headers?: Record<string, string>; stream?: boolean };

// quote makes text one word of a shell.
export function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

// curlOf returns a command that does the same with a key in $KEY. tenant is for whom an operator acts.
export function curlOf(call: Call, tenant?: string, root = apiUrl): string {
  const words = ["curl", call.stream ? "-Nu" : "-u", "$KEY:"];
  const hasBody = call.body !== undefined;
  const text = typeof call.body === "string" ? call.body : JSON.stringify(call.body);
  if (call.method !== "GET" && !(call.method === "POST" && hasBody)) words.push("-X", call.method);
  words.push(quote(root + call.path));
  if (tenant) words.push("-H", quote(`Tenant: ${tenant}`));
  for (const [name, value] of Object.entries(call.headers ?? {})) words.push("-H", quote(`${name}: ${value}`));
  if (hasBody) words.push(text.startsWith("@") ? "--data-raw" : "-d", quote(text));
  return words.join(" ");
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
