import { Button } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { Navigate, Outlet, useLocation, useNavigate, useParams } from "@tanstack/react-router";
import { Fragment, useEffect, useMemo, useState } from "react";
import { ActingContext, failureOf, newApi, onSessionEnd, useActing } from "../api/client";
import { Accept } from "../members/Accept";
import { Enter } from "../portal/Enter";
import { SayProvider } from "../common/say";
import { ErrorState, Waiting } from "../common/states";
import { Shell } from "./Shell";
import { SignIn } from "./SignIn";
import { isOver, type Session, signOut, useSession } from "./session";

// App shows the screen of the address to who is signed in, and a way to sign in to everybody else.
export function App() {
  const session = useSession();
  const pathname = useLocation({ select: (l) => l.pathname });
  const [ended, setEnded] = useState(false);
  const known = Boolean(session.data);
  useEffect(() => onSessionEnd(() => void (known && isOver().then(setEnded))), [known]);
  if (pathname === "/invitation") return <Accept />;
  if (pathname === "/portal") return <Enter />;
  if (session.data === undefined) return session.error ? <NotShown error={session.error} retry={() => void session.refetch()} /> : <Waiting />;
  if (session.data === null) return <SignIn />;
  return <SignedIn session={session.data} ended={ended} resume={() => setEnded(false)} />;
}

// NotShown says why the session is not known. Whoever may not even look at it, because the tenant is suspended, can end it.
function NotShown({ error, retry }: { error: unknown; retry: () => void }) {
  const client = useQueryClient();
  const leave = (
    <Button size="compact-xs" variant="default" onClick={() => void signOut(client)}>
      Sign out
    </Button>
  );
  return <ErrorState error={error} retry={retry} action={failureOf(error).status === 403 && leave} />;
}

function SignedIn({ session, ended, resume }: { session: Session; ended: boolean; resume: () => void }) {
  const params = useParams({ strict: false });
  const operator = session.kind === "operator";
  const own = session.tenant?.name;
  const tenant = operator ? params.tenant : own;
  const acting = useMemo(() => ({ api: newApi(operator ? tenant : undefined), tenant, operator }), [operator, tenant]);
  const elsewhere = !operator && own && params.tenant && params.tenant !== own;
  return (
    <ActingContext value={acting}>
      <SayProvider>
        <Shell session={session} ended={ended} resume={resume}>
          <Fragment key={tenant}>{elsewhere ? <Home tenant={own} /> : <Outlet />}</Fragment>
        </Shell>
      </SayProvider>
    </ActingContext>
  );
}

// Home leads to what is one's own, once: a <Navigate> here would lead there again with each rendering on the way.
function Home({ tenant }: { tenant: string }) {
  const navigate = useNavigate();
  useEffect(() => void navigate({ to: "/t/$tenant/queues", params: { tenant } }), [navigate, tenant]);
  return null;
}

// Start is where one lands without an address.
export function Start() {
  const { tenant } = useActing();
  return tenant ? <Navigate to="/t/$tenant/queues" params={{ tenant }} replace /> : <Navigate to="/admin/tenants" replace />;
}
