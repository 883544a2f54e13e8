import "@mantine/core/styles.css";
import "./common/style.css";
import { createTheme, MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { setNonce } from "get-nonce";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { failureOf } from "./api/client";
import { PrefsProvider } from "./common/prefs";
import { router } from "./router";

// Styles that are made while the page runs are let in by the nonce of the page.
const nonce = document.querySelector<HTMLScriptElement>("script[nonce]")?.nonce ?? "";
setNonce(nonce);

const theme = createTheme({ primaryColor: "cyan", primaryShade: 9, respectReducedMotion: true, cursorType: "pointer", defaultRadius: "sm" });

const client = new QueryClient({
  defaultOptions: {
    queries: {
      networkMode: "always", // a server on this machine is reached without a network
      staleTime: 1000,
      retry: (times, error) => times < 2 && [0, 502, 503, 504].includes(failureOf(error).status),
    },
    mutations: { networkMode: "always" },
  },
});

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <MantineProvider theme={theme} defaultColorScheme="auto" getStyleNonce={() => nonce}>
        <QueryClientProvider client={client}>
          <PrefsProvider>
            <RouterProvider router={router} />
          </PrefsProvider>
        </QueryClientProvider>
      </MantineProvider>
    </StrictMode>,
  );
}
