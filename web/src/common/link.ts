// linkOf returns the address of a page or of a letter. Nothing but these becomes a link, whatever the server says.
export function linkOf(contact: string): URL | undefined {
  if (!URL.canParse(contact)) return undefined;
  const url = new URL(contact);
  return ["https:", "http:", "mailto:"].includes(url.protocol) ? url : undefined;
}
