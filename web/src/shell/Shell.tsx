import { ActionIcon, Alert, AppShell, Badge, Burger, Button, Group, Menu, Modal, NavLink, Stack, Text, Tooltip, useMantineColorScheme } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useQueryClient } from "@tanstack/react-query";
import { Link, useLocation, useNavigate } from "@tanstack/react-router";
import { lazy, type ReactNode, Suspense, useEffect } from "react";
import { Raised } from "../alarms/Raised";
import { useActing } from "../api/client";
import { apiUrl } from "../api/place";
import { intervals, usePrefs } from "../common/prefs";
import { useUrl } from "../common/url";
import { ChangePassword } from "../members/ChangePassword";
import { useChanges } from "./changes";
import { Help } from "./Help";
import { Logo } from "./Logo";
import { useReadiness } from "./readiness";
import { SignInForm } from "./SignIn";
import { type Session, signOut } from "./session";
import { TenantSwitcher } from "./TenantSwitcher";
import { Viewing } from "./Viewing";
import { useKeyboard } from "./keyboard";

const Palette = lazy(() => import("./Palette").then((m) => ({ default: m.Palette })));

type Place = { text: string; to: string };

export function placesOf(tenant: string | undefined): Place[] {
  if (!tenant) return [];
  return ["overview", "queues", "topics", "deliveries", "alarms", "tasks", "keys", "members", "sessions", "portal-links", "usage", "limits", "audit", "requests"].map((name) => ({ text: name[0]?.toUpperCase() + name.slice(1).replace("-", " "), to: `/t/${tenant}/${name}` }));
}

export const operatorPlaces: Place[] = [
  { text: "Fleet", to: "/admin/overview" },
  { text: "Tenants", to: "/admin/tenants" },
  { text: "Plans", to: "/admin/plans" },
  { text: "Operator tasks", to: "/admin/tasks" },
  { text: "Operators", to: "/admin/operators" },
  { text: "Operator sessions", to: "/admin/sessions" },
  { text: "Operator keys", to: "/admin/keys" },
  { text: "Operator audit", to: "/admin/audit" },
  { text: "System", to: "/admin/system" },
];

// Shell is what stands around every screen.
export function Shell({ session, ended, resume, children }: { session: Session; ended: boolean; resume: () => void; children: ReactNode }) {
  const [menu, { toggle, close }] = useDisclosure();
  const [help, { open: openHelp, close: closeHelp }] = useDisclosure();
  const { pathname } = useLocation();
  const { tenant } = useActing();
  const [search, setUrl] = useUrl();
  const [palette, { open: openPalette, close: closePalette }] = useDisclosure();
  useKeyboard(tenant, openHelp, openPalette);
  useChanges(!ended);
  useEffect(close, [pathname, close]);
  useEffect(closePalette, [pathname, closePalette]);
  return (
    <>
      <a
        className="skip"
        href={pathname}
        onClick={(e) => {
          e.preventDefault();
          document.getElementById("content")?.focus();
        }}
      >
        Skip to the content
      </a>
      <AppShell header={{ height: 52 }} navbar={{ width: 210, breakpoint: "sm", collapsed: { mobile: !menu } }} padding="md">
        <AppShell.Header>
          <Group h="100%" px="sm" justify="space-between" wrap="nowrap" gap="xs">
            <Group gap="xs" wrap="nowrap">
              <Burger opened={menu} onClick={toggle} hiddenFrom="sm" size="sm" aria-label={menu ? "Close the menu" : "Open the menu"} />
              <Link to="/" aria-label="Sluice, start page" style={{ display: "flex" }}>
                <Logo />
              </Link>
              <TenantSwitcher session={session} />
            </Group>
            <Group gap={6} wrap="nowrap">
              <ActionIcon variant="default" size="md" onClick={openPalette} aria-label="Go to…" aria-keyshortcuts="Control+K Meta+K" title="Go to… (Ctrl K)">
                <svg width="16" height="16" viewBox="0 0 16 16" fill="none" stroke="currentColor" strokeWidth="1.8" aria-hidden="true">
                  <circle cx="7" cy="7" r="4.5" />
                  <path d="M10.5 10.5 14 14" />
                </svg>
              </ActionIcon>
              <LiveSwitch />
              <User session={session} help={openHelp} />
            </Group>
          </Group>
        </AppShell.Header>
        <AppShell.Navbar p="xs" aria-label="Main" style={{ overflowY: "auto" }}>
          {tenant && <Places places={placesOf(tenant)} label={tenant} />}
          {session.kind === "operator" && <Places places={operatorPlaces} label="Installation" />}
          <Stack gap={0} mt="auto">
            <NavLink component="a" href={`${apiUrl}/docs/`} label="API" />
          </Stack>
        </AppShell.Navbar>
        <AppShell.Main id="content" tabIndex={-1} style={{ outline: "none" }}>
          <Stack maw={1280} mx="auto">
            {session.view_as && <Viewing view={session.view_as} />}
            <Banner />
            {children}
          </Stack>
        </AppShell.Main>
      </AppShell>
      <Help opened={help} close={closeHelp} />
      {palette && (
        <Suspense>
          <Palette session={session} close={closePalette} />
        </Suspense>
      )}
      {search.new === "password" && session.member && <ChangePassword close={() => setUrl({ new: undefined }, true)} />}
      <Modal opened={ended} onClose={() => {}} withCloseButton={false} title="Your session has ended" centered>
        <Text size="sm" mb="md">
          Sign in again to go on where you were.
        </Text>
        <SignInForm done={resume} />
      </Modal>
    </>
  );
}

function Places({ places, label }: { places: Place[]; label: string }) {
  const { pathname } = useLocation();
  return (
    <div style={{ marginBottom: 16 }}>
      <Text size="xs" className="quiet" px="sm" py={4} truncate>
        {label}
      </Text>
      {places.map((p) => (
        <NavLink key={p.to} component={Link} to={p.to} label={p.text} rightSection={p.text === "Alarms" ? <Raised /> : undefined} active={pathname === p.to || pathname.startsWith(`${p.to}/`)} aria-current={pathname === p.to ? "page" : undefined} />
      ))}
    </div>
  );
}

// Banner says what an operator must know before anything else.
function Banner() {
  const { data, error } = useReadiness();
  if (error) return <Alert color="red" title="The server cannot be reached" role="alert" />;
  if (!data) return null;
  return (
    <>
      {data.reasons.map((r) => (
        <Alert key={r.code} color="red" title="The server is not ready" role="alert">
          {r.detail}
        </Alert>
      ))}
      {data.engine === "memory" && (
        <Alert color="orange" title="IN MEMORY" role="alert">
          Everything is lost when the server ends. Put redis-server or valkey-server on its PATH, or set SLUICE_REDIS_URL.
        </Alert>
      )}
    </>
  );
}

function LiveSwitch() {
  const { live, setLive } = usePrefs();
  return (
    <Tooltip label={live ? "Numbers are kept up to date. Press p to pause." : "Nothing on the page changes by itself. Press p to go on."}>
      <Button size="compact-sm" variant={live ? "default" : "filled"} color={live ? undefined : "#b03a06"} onClick={() => setLive(!live)} aria-pressed={!live}>
        {live ? "Live" : "Paused"}
      </Button>
    </Tooltip>
  );
}

function User({ session, help }: { session: Session; help: () => void }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [, setUrl] = useUrl();
  const { every, setEvery, utc, setUtc } = usePrefs();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <Menu position="bottom-end" width={240} shadow="md">
      <Menu.Target>
        <ActionIcon variant="default" size="md" aria-label="You and how things look">
          <svg width="16" height="16" viewBox="0 0 16 16" fill="currentColor" aria-hidden="true">
            <circle cx="8" cy="5" r="3" />
            <path d="M2 14a6 6 0 0 1 12 0z" />
          </svg>
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          <Group gap="xs">
            <span>{session.member?.email ?? session.portal_link?.name ?? (session.identity?.name || session.identity?.subject) ?? (session.key?.name || session.key?.id)}</span>
            <Badge size="xs" variant="light" color={session.kind === "operator" ? "orange" : "cyan"}>
              {session.kind}
            </Badge>
          </Group>
        </Menu.Label>
        <Menu.Divider />
        <Menu.Label>Theme</Menu.Label>
        {(["auto", "light", "dark"] as const).map((s) => (
          <Menu.Item key={s} onClick={() => setColorScheme(s)} rightSection={colorScheme === s ? "✓" : undefined}>
            {{ auto: "As the system", light: "Light", dark: "Dark" }[s]}
          </Menu.Item>
        ))}
        <Menu.Divider />
        <Menu.Label>Numbers are asked for</Menu.Label>
        {intervals.map((s) => (
          <Menu.Item key={s} onClick={() => setEvery(s)} rightSection={every === s ? "✓" : undefined}>
            {s === 0 ? "As often as they change" : `Every ${s} s`}
          </Menu.Item>
        ))}
        <Menu.Divider />
        <Menu.Item onClick={() => setUtc(!utc)} rightSection={utc ? "✓" : undefined}>
          Times in UTC
        </Menu.Item>
        <Menu.Item onClick={help} rightSection="?">
          Keyboard
        </Menu.Item>
        <Menu.Divider />
        {session.member && <Menu.Item onClick={() => setUrl({ new: "password" })}>Change the password…</Menu.Item>}
        <Menu.Item
          onClick={async () => {
            await signOut(client);
            void navigate({ to: "/" });
          }}
        >
          Sign out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
