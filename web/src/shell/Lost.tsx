import { Link } from "@tanstack/react-router";
import { Text } from "@mantine/core";
import { Page } from "../common/Page";

export function Lost() {
  return (
    <Page title="There is nothing here">
      <Text size="sm">
        The address is none of the console's.{" "}
        <Link className="link" to="/">
          To the start
        </Link>
      </Text>
    </Page>
  );
}
