import { Alert, Button, Group, SegmentedControl, Stack, Text } from "@mantine/core";
import { lazy, Suspense, useMemo, useState } from "react";
import { Copy } from "./Curl";
import { hexDump, prettyJson } from "./json";
import { save } from "./save";

export type BodyOf = { id: string; body: string | null; body_encoding: "utf8" | "base64"; content_type: string; size: number };

export function bytesOf(m: BodyOf): Uint8Array<ArrayBuffer> {
  const body = m.body ?? "";
  if (m.body_encoding === "base64") return Uint8Array.from(atob(body), (c) => c.charCodeAt(0));
  return new TextEncoder().encode(body);
}

// What is longer is shown as it is: colours would make one element of each token.
const maxPretty = 200_000;
const maxHex = 64 << 10;

const Tree = lazy(() => import("./Tree").then((m) => ({ default: m.Tree })));

// Body shows a body. It is somebody else's text, so it is only ever the text of an element: nothing in it is a link, an
// image or markup.
export function Body({ of }: { of: BodyOf }) {
  const text = of.body_encoding === "utf8" ? (of.body ?? "") : undefined;
  const pretty = useMemo(() => (text !== undefined && text.length <= maxPretty ? prettyJson(text) : undefined), [text]);
  const views = [...(pretty ? ["JSON", "Tree"] : []), ...(text !== undefined ? ["Raw"] : []), "Hex"];
  const [chosen, setChosen] = useState<string>();
  if (of.body === null) return <Alert color="gray">You may not read bodies: that takes the scope messages:read_body.</Alert>;
  const view = chosen && views.includes(chosen) ? chosen : views[0];
  const download = () => save(`${of.id}.${pretty ? "json" : text === undefined ? "bin" : "txt"}`, bytesOf(of));
  return (
    <Stack gap="xs">
      <Group gap="xs">
        <SegmentedControl size="xs" data={views} value={view} onChange={setChosen} aria-label="How the body is shown" />
        {text !== undefined && <Copy text={text} />}
        <Button size="compact-xs" variant="default" onClick={download}>
          Download
        </Button>
        <Text size="xs" className="quiet mono">
          {of.content_type}
        </Text>
      </Group>
      {view === "Tree" ? (
        <Suspense>
          <Tree text={text ?? ""} />
        </Suspense>
      ) : (
        <pre className="body" tabIndex={0} aria-label="Body">
          {view === "JSON" && pretty?.map((p, i) => (p.kind === "sign" ? p.text : <span key={i} className={`json-${p.kind}`}>{p.text}</span>))}
          {view === "Raw" && (text || " ")}
          {view === "Hex" && hexDump(bytesOf(of).subarray(0, maxHex))}
        </pre>
      )}
      {view === "Hex" && of.size > maxHex && <Text size="xs">The first 64 KiB. The download has all.</Text>}
    </Stack>
  );
}
