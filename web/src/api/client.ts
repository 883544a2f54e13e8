import createClient, { type Client } from "openapi-fetch";
import { createContext, useContext } from "react";
import { apiUrl } from "./place";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];
export type Problem = Schemas["Problem"];

// Failure is an answer that is no success, or none at all.
export class Failure extends Error {
  constructor(
    readonly status: number, // 0: the server was not reached
    readonly problem: Problem | undefined,
    readonly requestId: string | undefined,
    readonly retryAfter = 0, // seconds that the server wants to be left alone; 0: it says nothing
  ) {
    super(problem?.detail ?? (status === 0 ? "The server cannot be reached." : `The server answered ${status}.`));
  }

  get code(): string {
    return this.problem?.code ?? (this.status === 0 ? "unreachable" : `http_${this.status}`);
  }

  // at returns what is wrong with one part of the request, by a JSON Pointer into the body or a name in the query.
  at(place: string): string | undefined {
    const fault = this.problem?.errors.find((e) => e.pointer === place || e.query === place || e.header === place);
    return fault?.detail;
  }
}

export function failureOf(error: unknown): Failure {
  return error instanceof Failure ? error : new Failure(0, undefined, undefined);
}

type Answer<T> = { data?: T; error?: unknown; response: Response };

function isProblem(v: unknown): v is Problem {
  return typeof v === "object" && v !== null && "code" in v && "request_id" in v;
}

// must returns the data of an answer, or throws a Failure.
export async function must<T>(call: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await call;
  } catch {
    throw new Failure(0, undefined, undefined);
  }
  if (!answer.response.ok) {
    if (answer.response.status === 401) sessionEnded();
    const problem = isProblem(answer.error) ? answer.error : undefined;
    throw new Failure(answer.response.status, problem, problem?.request_id ?? answer.response.headers.get("Request-Id") ?? undefined, Number(answer.response.headers.get("Retry-After")) || 0);
  }
  return answer.data as T;
}

export type Api = Client<paths>;

// newApi returns a client. An operator's says for which tenant it acts.
export function newApi(tenant?: string): Api {
  // A change without a body says that it is JSON all the same: that is how the server knows that no other site's form
  // has sent it.
  const headers: Record<string, string> = { "Content-Type": "application/json" };
  if (tenant) headers.Tenant = tenant;
  return createClient<paths>({ baseUrl: apiUrl, headers, credentials: "same-origin", cache: "no-store" });
}

let sessionEnded = () => {};

// onSessionEnd sets what happens when the server no longer knows who is calling.
export function onSessionEnd(f: () => void) {
  sessionEnded = f;
}

export type Acting = { api: Api; tenant: string | undefined; operator: boolean };

export const ActingContext = createContext<Acting>({ api: newApi(), tenant: undefined, operator: false });

// useActing returns the client for what is on the screen, and for whom it acts.
export function useActing(): Acting {
  return useContext(ActingContext);
}
