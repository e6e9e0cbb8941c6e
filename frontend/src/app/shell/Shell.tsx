import { Box, Dialog, DialogContent, DialogTitle, Drawer, LinearProgress, useMediaQuery } from "@mui/material";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Fragment, lazy, Suspense, useEffect, useState } from "react";
import { Navigate, Outlet, useLocation, useNavigate } from "react-router";
import { ApiError } from "@/api/client";
import { startLive } from "@/live/bind";
import { queries, useTopics } from "@/live/queries";
import { Kbd } from "@/ui/atoms";
import { useHotkeys, usePrefixKey } from "@/ui/hotkeys";
import { ErrorState } from "@/ui/states";
import { announceTasks } from "@/ui/tasks";
import { Toasts } from "@/ui/toasts";
import { Nav } from "./Nav";
import { NAV } from "./entries";
import { TopBar } from "./TopBar";

const loadPalette = () => import("./Palette");
const Palette = lazy(loadPalette);
const TaskDrawer = lazy(() => import("./TaskDrawer"));
const SLIM_KEY = "df-nav-slim";

const KEYS: [string[], string][] = [
  [["Ctrl", "K"], "Search and commands"],
  [["/"], "Filter the list"],
  [["j"], "Next row"],
  [["k"], "Previous row"],
  [["x"], "Choose the row"],
  [["Enter"], "Open the row"],
  [["?"], "This help"],
];

function Help({ open, onClose }: { open: boolean; onClose: () => void }) {
  const rows: [string[], string][] = [...KEYS, ...NAV.map((n): [string[], string] => [["g", n.key], `Go to ${n.label}`])];
  return (
    <Dialog open={open} onClose={onClose} maxWidth="xs" fullWidth aria-labelledby="help-title">
      <DialogTitle id="help-title">Keyboard shortcuts</DialogTitle>
      <DialogContent>
        <Box sx={{ display: "grid", gridTemplateColumns: "110px 1fr", rowGap: 1, fontSize: 13 }}>
          {rows.map(([keys, text]) => (
            <Fragment key={text}>
              <Box sx={{ display: "flex", gap: 0.5 }}>
                {keys.map((k) => (
                  <Kbd key={k}>{k}</Kbd>
                ))}
              </Box>
              <span>{text}</span>
            </Fragment>
          ))}
        </Box>
      </DialogContent>
    </Dialog>
  );
}

function Frame() {
  const phone = useMediaQuery("(max-width:899px)");
  const navigate = useNavigate();
  const client = useQueryClient();
  const [slim, setSlim] = useState(() => localStorage.getItem(SLIM_KEY) === "1");
  const [open, setOpen] = useState<"" | "menu" | "palette" | "tasks" | "help">("");
  const close = () => setOpen("");

  useEffect(() => {
    startLive(client);
    return announceTasks();
  }, [client]);
  useEffect(() => {
    // Fetched ahead: letters typed right after Ctrl-K must find the field.
    const t = setTimeout(() => void loadPalette(), 1_500);
    return () => clearTimeout(t);
  }, []);
  useTopics(["task.status", "application.status", "application.deleted", "node.status"]);
  usePrefixKey("g");
  useHotkeys({
    "mod+k": () => setOpen("palette"),
    "?": () => setOpen("help"),
    ...Object.fromEntries(NAV.map((n) => [`g ${n.key}`, () => void navigate(n.to)])),
  });

  const toggleSlim = () => {
    localStorage.setItem(SLIM_KEY, slim ? "0" : "1");
    setSlim(!slim);
  };
  return (
    <Box sx={{ display: "flex", height: "100dvh", overflow: "hidden" }}>
      <Box component="a" href="#content" sx={{ position: "absolute", left: 8, top: -60, zIndex: 2000, p: 1, borderRadius: 1, backgroundColor: "var(--df-accent-solid)", color: "#fff", "&:focus": { top: 8 } }}>
        Skip to content
      </Box>
      {phone ? (
        <Drawer open={open === "menu"} onClose={close}>
          <Nav slim={false} onGo={close} />
        </Drawer>
      ) : (
        <Nav slim={slim} onToggle={toggleSlim} />
      )}
      <Box sx={{ display: "flex", flexDirection: "column", flex: 1, minWidth: 0 }}>
        <TopBar phone={phone} onMenu={() => setOpen("menu")} onPalette={() => setOpen("palette")} onTasks={() => setOpen("tasks")} onHelp={() => setOpen("help")} />
        <Box component="main" id="content" tabIndex={-1} sx={{ flex: 1, minHeight: 0, overflowY: "auto", outline: 0 }}>
          <Suspense fallback={<LinearProgress aria-label="Loading page" sx={{ height: 2 }} />}>
            <Outlet />
          </Suspense>
        </Box>
      </Box>
      <Suspense>
        {open === "palette" && <Palette onClose={close} onHelp={() => setOpen("help")} />}
        {open === "tasks" && <TaskDrawer onClose={close} />}
      </Suspense>
      <Help open={open === "help"} onClose={close} />
      <Toasts />
    </Box>
  );
}

/** The frame of every page behind the sign-in: nothing in it renders before the session is known. */
export function Shell() {
  const { pathname, search } = useLocation();
  const { data, error, refetch } = useQuery(queries.me());
  if (error) {
    if (error instanceof ApiError && error.status === 401) return <Navigate to={`/login?next=${encodeURIComponent(pathname + search)}`} replace />;
    return <ErrorState what="The server can't be reached" error={error} retry={() => void refetch()} />;
  }
  if (!data) return null;
  if (data.mustChangePassword || data.user.mustChangePassword) return <Navigate to="/change-password" replace />;
  return <Frame />;
}
