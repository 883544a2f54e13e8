import { useQuery } from "@tanstack/react-query";
import { Failure } from "../api/client";
import { apiUrl } from "../api/place";
import { useLive } from "../common/prefs";

// Readiness is the answer of /readyz, which is not part of the API.
export type Readiness = {
  status: string;
  reasons: { code: string; detail: string }[];
  durability: string;
  durability_verified: boolean;
  engine: string;
  redis_version: string;
  warnings: string[];
  version: string;
};

export function useReadiness() {
  return useQuery({
    queryKey: ["readyz"],
    refetchInterval: useLive(15_000),
    queryFn: async (): Promise<Readiness> => {
      try {
        return await (await fetch(`${apiUrl}/readyz`, { cache: "no-store" })).json();
      } catch {
        throw new Failure(0, undefined, undefined);
      }
    },
  });
}
