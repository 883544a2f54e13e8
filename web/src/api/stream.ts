import { Failure } from "./client";

// lines yields the items of a stream, one of JSON a line, until the server ends it. opened is called once that has begun.
export async function* lines<T extends object>(url: string, headers: Record<string, string> | undefined, signal: AbortSignal, opened?: () => void): AsyncGenerator<T> {
  const answer = await fetch(url, { headers, signal, cache: "no-store", credentials: "same-origin" });
  if (!answer.ok || !answer.body) {
    const problem = await answer.json().catch(() => undefined);
    throw new Failure(answer.status, problem, problem?.request_id);
  }
  opened?.();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) {
      if (part.trim() === "") continue; // it only says that it is alive
      const item: T | { event: string } = JSON.parse(part);
      if ("event" in item) return;
      yield item;
    }
  }
}
