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

// isOver asks whether nobody is signed in any more. An answer 401 alone does not say so: who signs in, or sets another
// password, gets another cookie while requests with the one before are on their way.
export async function isOver(): Promise<boolean> {
  try {
    return (await api.GET("/v1/session")).response.status === 401;
  } catch {
    return false;
  }
}

export async function signIn(client: QueryClient, who: Schemas["SignIn"]): Promise<void> {
  await enter(client, await must(api.POST("/v1/session", { body: who })));
}

// accept sets the password of who was invited, and signs in.
export async function accept(client: QueryClient, acceptance: Schemas["Acceptance"]): Promise<void> {
  await enter(client, await must(api.POST("/v1/invitations/accept", { body: acceptance })));
}

async function enter(client: QueryClient, session: Session): Promise<void> {
  const before = client.getQueryData<Session | null>(key);
  // What somebody else saw is nothing for the next one.
  if (before?.id !== session.id && before?.key?.id !== session.key?.id || before?.member?.id !== session.member?.id) client.removeQueries({ predicate: (q) => q.queryKey[0] !== key[0] });
  client.setQueryData(key, session);
  void client.invalidateQueries({ predicate: (q) => q.queryKey[0] !== key[0] });
}

export async function changePassword(client: QueryClient, body: Schemas["PasswordChange"]): Promise<void> {
  client.setQueryData(key, await must(api.PUT("/v1/session/password", { body })));
}

// viewAs makes the session of an operator one of a tenant, which may look and nothing else.
export async function viewAs(client: QueryClient, tenant: string): Promise<void> {
  become(client, await must(api.POST("/v1/tenants/{tenant}/view-as", { params: { path: { tenant } } })));
}

export async function endView(client: QueryClient): Promise<void> {
  try {
    become(client, await must(api.DELETE("/v1/session/view-as")));
  } catch (e) {
    if (failureOf(e).status === 0) throw e;
    become(client, await must(api.GET("/v1/session"))); // it has ended by itself
  }
}

// become goes on as somebody else, who may see other things, or as nobody.
function become(client: QueryClient, session: Session | null) {
  client.setQueryData(key, session);
  client.removeQueries({ predicate: (q) => q.queryKey[0] !== key[0] });
}

export async function signOut(client: QueryClient): Promise<void> {
  try {
    await must(api.DELETE("/v1/session"));
  } catch (e) {
    if (failureOf(e).status !== 401) throw e;
  }
  become(client, null);
}
