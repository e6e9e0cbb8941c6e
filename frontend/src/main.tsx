import createCache from "@emotion/cache";
import { CacheProvider } from "@emotion/react";
import "@fontsource-variable/inter/wght.css";
import "@fontsource-variable/jetbrains-mono/wght.css";
import CssBaseline from "@mui/material/CssBaseline";
import { ThemeProvider } from "@mui/material/styles";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { RouterProvider } from "react-router";
import { ApiError, client } from "@/api/client";
import { queries } from "@/live/queries";
import "./app/global.css";
import { createRouter } from "./app/routes";
import { theme } from "./app/theme";

const meta = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]');
const cache = createCache({ key: "df", nonce: meta?.nonce || meta?.content || undefined, prepend: true });

const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      refetchOnWindowFocus: false,
      retry: (count, error) => count < 2 && (!(error instanceof ApiError) || error.status === 0 || error.status >= 502),
    },
  },
});

// Runs beside the loading of the route's chunk, so that the first screen waits for one round only.
if (location.pathname !== "/login") void queryClient.prefetchQuery(queries.me());

const router = createRouter();
client.onSignedOut = () => {
  if (location.pathname === "/login") return;
  const next = location.pathname + location.search;
  void router.navigate(`/login?next=${encodeURIComponent(next)}`, { replace: true });
};

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <CacheProvider value={cache}>
        <ThemeProvider theme={theme} defaultMode="system" disableTransitionOnChange={false}>
          <CssBaseline />
          <QueryClientProvider client={queryClient}>
            <RouterProvider router={router} />
          </QueryClientProvider>
        </ThemeProvider>
      </CacheProvider>
    </StrictMode>,
  );
}
