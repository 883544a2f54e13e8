import { useQuery } from "@tanstack/react-query";
import { must, type Schemas, useActing } from "../api/client";

export type Link = Schemas["PortalLinkDetails"];
export type CreatedLink = Schemas["CreatedPortalLink"];
export type LinkInput = Schemas["PortalLinkInput"];

export const path = "/v1/portal_links";

// usePortalLinks returns the links that nobody has used yet.
export function usePortalLinks() {
  const { api, tenant } = useActing();
  return useQuery({ queryKey: ["portal-links", tenant], queryFn: () => must(api.GET(path)) });
}

// addressOf is what its user opens. What stands behind # is sent to no server, and so is in no log.
export function addressOf(link: CreatedLink, base = document.baseURI): string {
  return new URL(`portal#${link.portal_link}`, base).href;
}
