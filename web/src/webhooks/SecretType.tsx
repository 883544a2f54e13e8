import { NativeSelect } from "@mantine/core";
import type { Schemas } from "../api/client";

export type Type = Schemas["WebhookSecret"]["type"];

const types = [
  { value: "hmac", label: "a secret, which the endpoint knows too" },
  { value: "ed25519", label: "a private key, of which the endpoint knows the public one" },
] as const;

// SecretType chooses with what a webhook signs. first is what stands there where none is chosen.
export function SecretType({ value, first, set }: { value: Type | undefined; first?: string; set: (value: Type | undefined) => void }) {
  const data = first ? [{ value: "", label: first }, ...types] : [...types];
  return <NativeSelect label="Requests are signed with" data={data} value={value ?? ""} onChange={(e) => set(types.find((t) => t.value === e.currentTarget.value)?.value)} />;
}
