import { type QueryClient, useQuery } from "@tanstack/react-query";
import { failureOf, must, newApi, type Schemas } from "../api/client";

export type Session = Schemas["Session"];

const api = newApi();
const key = ["session"];

// useSession returns who is signed in: null for nobody, undefined while that is not known.
export function useSession() {
  return useQuery({
    queryKey: key,
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: async (): Promise<Session | null> => {
      try {
        return await must(api.GET("/v1/session"));
      } catch (e) {
        if (failureOf(e).status === 401) return null;
        throw e;
      }
    },
  });
}

export async function signIn(client: QueryClient, secret: string): Promise<void> {
  const session = await must(api.POST("/v1/session", { body: { key: secret } }));
  const before = client.getQueryData<Session | null>(key);
  // What somebody else saw is nothing for the next one.
  if (before?.id !== session.id && before?.key?.id !== session.key?.id) client.removeQueries({ predicate: (q) => q.queryKey[0] !== key[0] });
  client.setQueryData(key, session);
  void client.invalidateQueries({ predicate: (q) => q.queryKey[0] !== key[0] });
}

export async function signOut(client: QueryClient): Promise<void> {
  try {
    await must(api.DELETE("/v1/session"));
  } catch (e) {
    if (failureOf(e).status !== 401) throw e;
  }
  client.clear();
  client.setQueryData(key, null);
}
