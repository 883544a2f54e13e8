import { Button, Menu } from "@mantine/core";
import type { ReactNode } from "react";

// Actions is the menu of a row: what can be done with one thing of a list, as Menu.Items. `of` names the thing for who does not see
// the row; `opened` is for a menu that is made when somebody asks for it.
export function Actions({ of, opened, children }: { of: string; opened?: boolean; children: ReactNode }) {
  return (
    <Menu position="bottom-end" defaultOpened={opened}>
      <Menu.Target>
        <Button size="compact-sm" variant="default" aria-label={`Actions for ${of}`}>
          ⋯
        </Button>
      </Menu.Target>
      <Menu.Dropdown>{children}</Menu.Dropdown>
    </Menu>
  );
}
