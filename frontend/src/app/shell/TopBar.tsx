import { Box, Button, Divider, IconButton, LinearProgress, ListItemText, Menu, MenuItem, Tooltip } from "@mui/material";
import { useColorScheme } from "@mui/material/styles";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Check, ChevronsUpDown, FolderGit2, Keyboard, KeyRound, ListChecks, LogOut, Menu as MenuIcon, Monitor, Moon, Search, Sun } from "lucide-react";
import { useState, type ReactNode } from "react";
import { useNavigate } from "react-router";
import { call } from "@/api/client";
import { stopLive } from "@/live/bind";
import { queries } from "@/live/queries";
import { Kbd } from "@/ui/atoms";
import { plural } from "@/ui/format";
import { useScope } from "@/ui/scope";
import { StatusIcon } from "@/ui/status";
import { notifyError } from "@/ui/toasts";

function ScopeSwitcher() {
  const [anchor, setAnchor] = useState<HTMLElement | null>(null);
  const { data } = useQuery(queries.projects());
  const { project, setProject } = useScope();
  const projects = data?.items ?? [];
  const current = projects.find((p) => p.id === project);
  const pick = (id: string) => {
    setProject(id);
    setAnchor(null);
  };
  return (
    <>
      <Button color="inherit" onClick={(e) => setAnchor(e.currentTarget)} startIcon={<FolderGit2 size={16} />} endIcon={<ChevronsUpDown size={14} />} aria-haspopup="menu" sx={{ minWidth: 0, "& .MuiButton-endIcon": { ml: 0.5 } }}>
        <Box component="span" className="df-ellipsis" sx={{ maxWidth: { xs: 96, sm: 200 } }}>
          <span className="df-hidden">Project: </span>
          {current ? current.displayName || current.name : "All projects"}
        </Box>
      </Button>
      <Menu anchorEl={anchor} open={!!anchor} onClose={() => setAnchor(null)} slotProps={{ paper: { sx: { minWidth: 220 } } }}>
        {[{ id: "", name: "All projects", displayName: "All projects" }, ...projects].map((p) => (
          <MenuItem key={p.id} selected={p.id === project} onClick={() => pick(p.id)}>
            <ListItemText primary={p.displayName || p.name} slotProps={{ primary: { sx: { fontSize: 13 } } }} />
            {p.id === (current?.id ?? "") && <Check size={15} />}
          </MenuItem>
        ))}
      </Menu>
    </>
  );
}

function RunningTasks({ onOpen }: { onOpen: () => void }) {
  const { data } = useQuery(queries.tasks());
  const running = (data?.items ?? []).filter((t) => t.state === "running" || t.state === "queued");
  const first = running.find((t) => t.progress?.total);
  const share = first?.progress?.total ? (100 * first.progress.done) / first.progress.total : 0;
  return (
    <Tooltip title={running.length ? `${plural(running.length, "task")} under way` : "Tasks"}>
      <Button color="inherit" onClick={onOpen} aria-label={running.length ? `${plural(running.length, "running task")}` : "Tasks"} sx={{ minWidth: 34, px: 1, position: "relative", color: "var(--df-muted)" }}>
        {running.length ? <StatusIcon status="running" live size={17} /> : <ListChecks size={17} />}
        {running.length > 0 && (
          <Box component="span" className="df-num" sx={{ ml: 0.75, color: "var(--df-text)" }}>
            {running.length}
          </Box>
        )}
        {first && <LinearProgress aria-label="Progress of the first task" variant="determinate" value={share} sx={{ position: "absolute", left: 6, right: 6, bottom: 2, height: 2, borderRadius: 1 }} />}
      </Button>
    </Tooltip>
  );
}

const MODES: { mode: "light" | "dark" | "system"; label: string; icon: ReactNode }[] = [
  { mode: "light", label: "Light", icon: <Sun size={16} /> },
  { mode: "dark", label: "Dark", icon: <Moon size={16} /> },
  { mode: "system", label: "As the system", icon: <Monitor size={16} /> },
];

function ThemeSwitch() {
  const { mode = "system", setMode } = useColorScheme();
  const [anchor, setAnchor] = useState<HTMLElement | null>(null);
  const icon = MODES.find((m) => m.mode === mode)?.icon;
  return (
    <>
      <Tooltip title="Theme">
        <IconButton aria-label={`Theme: ${mode}`} aria-haspopup="menu" onClick={(e) => setAnchor(e.currentTarget)}>
          {icon}
        </IconButton>
      </Tooltip>
      <Menu anchorEl={anchor} open={!!anchor} onClose={() => setAnchor(null)}>
        {MODES.map((m) => (
          <MenuItem
            key={m.mode}
            selected={m.mode === mode}
            onClick={() => {
              setMode(m.mode);
              setAnchor(null);
            }}
          >
            {m.icon}
            {m.label}
          </MenuItem>
        ))}
      </Menu>
    </>
  );
}

export function useSignOut(): () => Promise<void> {
  const navigate = useNavigate();
  const client = useQueryClient();
  return async () => {
    try {
      await call("POST /auth/logout", {});
    } catch (error) {
      notifyError("Sign out failed", error);
      return;
    }
    stopLive();
    void navigate("/login", { replace: true });
    client.clear();
  };
}

function UserMenu({ onHelp }: { onHelp: () => void }) {
  const [anchor, setAnchor] = useState<HTMLElement | null>(null);
  const { data } = useQuery(queries.me());
  const navigate = useNavigate();
  const signOut = useSignOut();
  const name = data?.user.fullName || data?.user.username || "";
  const initials = name
    .split(/[\s@._-]+/)
    .slice(0, 2)
    .map((w) => w.charAt(0).toUpperCase())
    .join("");
  const go = (to: string) => {
    setAnchor(null);
    void navigate(to);
  };
  return (
    <>
      <IconButton aria-label={`Account of ${name}`} aria-haspopup="menu" onClick={(e) => setAnchor(e.currentTarget)} sx={{ p: 0.5 }}>
        <Box aria-hidden data-initials={initials} sx={{ width: 28, height: 28, borderRadius: "50%", display: "grid", placeItems: "center", fontSize: 11.5, fontWeight: 650, backgroundColor: "var(--df-accent-soft)", color: "var(--df-accent)", "&::after": { content: "attr(data-initials)" } }}></Box>
      </IconButton>
      <Menu anchorEl={anchor} open={!!anchor} onClose={() => setAnchor(null)} slotProps={{ paper: { sx: { minWidth: 220 } } }}>
        <Box component="li" sx={{ px: 2, py: 1 }}>
          <Box sx={{ fontWeight: 600, fontSize: 13 }}>{name}</Box>
          <Box sx={{ fontSize: 12, color: "var(--df-muted)" }}>{data?.user.email}</Box>
        </Box>
        <Divider sx={{ my: 0.5 }} component="li" />
        <MenuItem onClick={() => go("/change-password")}>
          <KeyRound size={16} /> Change password
        </MenuItem>
        <MenuItem
          onClick={() => {
            setAnchor(null);
            onHelp();
          }}
        >
          <Keyboard size={16} /> Keyboard shortcuts
        </MenuItem>
        <Divider sx={{ my: 0.5 }} component="li" />
        <MenuItem onClick={() => void signOut()}>
          <LogOut size={16} /> Sign out
        </MenuItem>
      </Menu>
    </>
  );
}

interface Props {
  phone: boolean;
  onMenu: () => void;
  onPalette: () => void;
  onTasks: () => void;
  onHelp: () => void;
}

export function TopBar({ phone, onMenu, onPalette, onTasks, onHelp }: Props) {
  return (
    <Box component="header" sx={{ display: "flex", alignItems: "center", gap: 0.5, height: 56, px: { xs: 1, md: 2 }, borderBottom: "1px solid var(--df-line)", backgroundColor: "var(--df-surface)", flex: "none" }}>
      {phone && (
        <IconButton aria-label="Open navigation" onClick={onMenu}>
          <MenuIcon size={19} />
        </IconButton>
      )}
      <ScopeSwitcher />
      <Box sx={{ flex: 1 }} />
      {phone ? (
        <IconButton aria-label="Search and commands" onClick={onPalette}>
          <Search size={18} />
        </IconButton>
      ) : (
        <Box
          component="button"
          type="button"
          onClick={onPalette}
          sx={{ font: "inherit", fontSize: 13, display: "flex", alignItems: "center", gap: 1, width: 260, height: 34, px: 1.25, mr: 1, borderRadius: "7px", border: "1px solid var(--df-line)", backgroundColor: "var(--df-canvas)", color: "var(--df-muted)", cursor: "pointer", "&:hover": { borderColor: "var(--df-line-strong)" } }}
        >
          <Search size={15} />
          <Box component="span" sx={{ flex: 1, textAlign: "left" }}>
            Search or run a command
          </Box>
          <Kbd>Ctrl K</Kbd>
        </Box>
      )}
      <RunningTasks onOpen={onTasks} />
      <ThemeSwitch />
      <UserMenu onHelp={onHelp} />
    </Box>
  );
}
