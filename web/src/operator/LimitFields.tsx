import { SimpleGrid, TextInput } from "@mantine/core";
import type { Failure } from "../api/client";
import { limitNames, type LimitTexts } from "./limits";

export function LimitFields({ texts, set, failure, none, hints }: { texts: LimitTexts; set: (t: LimitTexts) => void; failure?: Failure; none: string; hints?: Partial<Record<keyof LimitTexts, string>> }) {
  return (
    <SimpleGrid cols={{ base: 1, xs: 2 }}>
      {limitNames.map(({ name, label }) => (
        <TextInput key={name} label={label} description={hints?.[name]} inputWrapperOrder={["label", "input", "description", "error"]} placeholder={none} inputMode="numeric" value={texts[name]} onChange={(e) => set({ ...texts, [name]: e.currentTarget.value })} error={failure?.at(`/limits/${name}`)} />
      ))}
    </SimpleGrid>
  );
}
