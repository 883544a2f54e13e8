import { Button, Group, Notification } from "@mantine/core";
import { createContext, type ReactNode, useCallback, useContext, useState } from "react";

type Said = { id: number; text: ReactNode; undo?: () => void };
type Say = (text: ReactNode, undo?: () => void) => void;

const SayContext = createContext<Say>(() => {});
const shownMs = 7000;
let last = 0;

// SayProvider shows what was done for some seconds, with the way back where there is one.
export function SayProvider({ children }: { children: ReactNode }) {
  const [list, setList] = useState<Said[]>([]);
  const drop = useCallback((id: number) => setList((l) => l.filter((s) => s.id !== id)), []);
  const say = useCallback<Say>(
    (text, undo) => {
      const id = ++last;
      setList((l) => [...l.slice(-2), { id, text, undo }]);
      setTimeout(() => drop(id), shownMs);
    },
    [drop],
  );
  return (
    <SayContext value={say}>
      {children}
      <div role="status" style={{ position: "fixed", right: 16, bottom: 16, zIndex: 400, maxWidth: "min(26rem, 90vw)" }}>
        {list.map((s) => (
          <Notification key={s.id} mt="xs" withBorder onClose={() => drop(s.id)} closeButtonProps={{ "aria-label": "Close" }}>
            <Group justify="space-between" gap="xs">
              <span>{s.text}</span>
              {s.undo && (
                <Button
                  size="compact-xs"
                  variant="default"
                  onClick={() => {
                    s.undo?.();
                    drop(s.id);
                  }}
                >
                  Undo
                </Button>
              )}
            </Group>
          </Notification>
        ))}
      </div>
    </SayContext>
  );
}

export function useSay(): Say {
  return useContext(SayContext);
}
