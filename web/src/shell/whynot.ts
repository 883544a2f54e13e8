const mark = "sign_in_failed=";

const words: Record<string, string> = {
  sign_in_expired: "It took more than ten minutes, or was begun in another browser or another window. Try again.",
  sign_in_cancelled: "The identity provider says that access was denied. Try again, or ask whoever manages it for access.",
  sign_in_refused: "The identity provider has refused it. Try again; if it stays so, the log of the server says why.",
  token_too_long: "The identity provider makes tokens that hold for more than 24 hours. Ask whoever manages it.",
  token_refused: "The identity provider knows you, but does not say in which tenant you have which role. Ask whoever manages it.",
  sign_in_failed: "The tenant that the identity provider names is gone. Ask whoever manages it.",
  issuer_unavailable: "The identity provider does not answer. Try again in a moment.",
  tenant_suspended: "The tenant is suspended. Ask the operator of this installation.",
  quota_exceeded: "There are as many sessions as there may be. Somebody of the tenant has to end some.",
  too_many_attempts: "There were too many attempts from here that failed. Try again in ten minutes.",
  rate_limited: "The tenant asks for more than its limits allow right now. Try again in a moment.",
  insecure_connection: "This connection is not encrypted, so whoever is on the way could take the session. Use https.",
};

// whyNot reads from the fragment of an address why somebody is not signed in. Anybody can write that, so nothing of it is shown but
// the name of a reason.
export function whyNot(fragment: string): { code: string; words: string } | undefined {
  if (!fragment.startsWith(mark)) return undefined;
  const code = fragment.slice(mark.length);
  if (!/^[a-z_]{1,40}$/.test(code)) return { code: "unknown", words: "Try again." };
  return { code, words: (Object.hasOwn(words, code) && words[code]) || "Something went wrong in the server, and its log says what. Try again." };
}
