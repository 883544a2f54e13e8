import { Button, Group, Stack, Text, TextInput, Title } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useEffect, useState } from "react";
import { useUrl } from "./url";

// Page is the frame of a screen: where one is, what it is, and what can be done.
export function Page({ title, trail, badges, actions, children }: { title: string; trail?: ReactNode; badges?: ReactNode; actions?: ReactNode; children: ReactNode }) {
  useEffect(() => {
    document.title = `${title} · Sluice`;
  }, [title]);
  return (
    <Stack gap="md">
      <div>
        {trail && (
          <Text size="sm" className="quiet">
            {trail}
          </Text>
        )}
        <Group justify="space-between" align="center">
          <Group gap="sm">
            <Title order={1} size="h3" style={{ overflowWrap: "anywhere" }}>
              {title}
            </Title>
            {badges}
          </Group>
          <Group gap="xs">{actions}</Group>
        </Group>
      </div>
      {children}
    </Stack>
  );
}

// Tabs are the parts of a screen, each with an address of its own.
export function Tabs({ label, tabs }: { label: string; tabs: { to: string; text: ReactNode }[] }) {
  return (
    <nav className="tabs" aria-label={label} tabIndex={-1}>
      {tabs.map((t) => (
        <Link key={t.to} to={t.to} activeOptions={{ exact: true, includeSearch: false }}>
          {t.text}
        </Link>
      ))}
    </nav>
  );
}

// Search is the filter of a list. It goes into the address when Enter is pressed or the field is left.
export function SearchField({ name, label, placeholder, error, w = 320 }: { name: "q" | "filter" | "target" | "label"; label: string; placeholder: string; error?: string; w?: number | string }) {
  const [search, setSearch] = useUrl();
  const said = search[name] ?? "";
  const [text, setText] = useState(said);
  useEffect(() => setText(said), [said]);
  const go = () => {
    if (text !== said) setSearch({ [name]: text, cursor: undefined });
  };
  return (
    <form
      role="search"
      style={{ maxWidth: "100%" }}
      onSubmit={(e) => {
        e.preventDefault();
        go();
      }}
    >
      <TextInput aria-label={label} placeholder={placeholder} value={text} onChange={(e) => setText(e.currentTarget.value)} onBlur={go} error={error} data-search w={w} maw="100%" spellCheck={false} />
    </form>
  );
}

// Pager goes on in a list. The way back is the browser's.
export function Pager({ next }: { next: string | null }) {
  const [search, setSearch] = useUrl();
  if (!next && !search.cursor) return null;
  return (
    <Group>
      {search.cursor && (
        <Button variant="default" size="xs" onClick={() => setSearch({ cursor: undefined })}>
          First page
        </Button>
      )}
      {next && (
        <Button variant="default" size="xs" onClick={() => setSearch({ cursor: next })}>
          Next page
        </Button>
      )}
    </Group>
  );
}

// Facts are names with values.
export function Facts({ of }: { of: [string, ReactNode][] }) {
  return (
    <dl className="facts">
      {of.map(([name, value]) => (
        <div key={name} style={{ display: "contents" }}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
