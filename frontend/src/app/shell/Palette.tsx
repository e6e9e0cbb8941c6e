import { Box, Dialog } from "@mui/material";
import { useColorScheme } from "@mui/material/styles";
import { useQuery } from "@tanstack/react-query";
import { Boxes, Container, GitBranch, Keyboard, LogOut, Moon, Plus, Search, Server, Sun } from "lucide-react";
import { useEffect, useMemo, useRef, useState, type ReactNode } from "react";
import { useNavigate } from "react-router";
import { queries, useCan } from "@/live/queries";
import { Kbd } from "@/ui/atoms";
import { StatusChip } from "@/ui/status";
import { fuzzy } from "./fuzzy";
import { NAV } from "./entries";
import { useSignOut } from "./TopBar";

interface Item {
  id: string;
  group: string;
  label: string;
  hint?: string;
  icon: ReactNode;
  chip?: ReactNode;
  run: () => void;
}

const RECENT_KEY = "df-recent";
const MAX_SHOWN = 40;

const readRecent = (): string[] => {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(RECENT_KEY) ?? "[]");
    return Array.isArray(value) ? value.filter((v) => typeof v === "string") : [];
  } catch {
    return [];
  }
};

function useItems(onClose: () => void, onHelp: () => void): Item[] {
  const navigate = useNavigate();
  const can = useCan();
  const signOut = useSignOut();
  const { mode, setMode } = useColorScheme();
  const { data: apps } = useQuery({ ...queries.applications(), enabled: can("application:read") });
  const { data: containers } = useQuery({ ...queries.containers(), enabled: can("container:read") });
  const { data: nodes } = useQuery({ ...queries.nodes(), enabled: can("node:read") });
  const { data: repositories } = useQuery({ ...queries.repositories(), enabled: can("repository:read") });
  const go = (to: string) => () => {
    onClose();
    void navigate(to);
  };
  const dark = mode === "dark";
  return [
    ...(apps?.items ?? []).flatMap((a): Item[] => [
      { id: `app:${a.id}`, group: "Applications", label: a.name, hint: a.node?.name, icon: <Boxes size={16} />, chip: <StatusChip status={a.health.status} plain />, run: go(`/applications/${a.id}`) },
      { id: `log:${a.id}`, group: "Actions", label: `Plan and sync ${a.name}`, icon: <Boxes size={16} />, run: go(`/applications/${a.id}?sync=open`) },
    ]),
    ...(containers?.items ?? []).map((c): Item => ({ id: `container:${c.id}`, group: "Containers", label: c.name, hint: c.image ?? undefined, icon: <Container size={16} />, chip: <StatusChip status={`container:${c.state}`} plain />, run: go(`/containers/${c.id}`) })),
    ...(nodes?.items ?? []).map((n): Item => ({ id: `node:${n.id}`, group: "Nodes", label: n.name, icon: <Server size={16} />, chip: <StatusChip status={n.state} plain />, run: go(`/nodes?node=${n.id}`) })),
    ...(repositories?.items ?? []).map((r): Item => ({ id: `repo:${r.id}`, group: "Repositories", label: r.name, hint: r.url, icon: <GitBranch size={16} />, run: go(`/repositories?repository=${r.id}`) })),
    ...NAV.filter((n) => !n.permission || can(n.permission)).map((n): Item => ({ id: `page:${n.to}`, group: "Pages", label: n.label, icon: n.icon, run: go(n.to) })),
    ...(can("application:create") ? [{ id: "new-app", group: "Actions", label: "New application", icon: <Plus size={16} />, run: go("/applications/new") }] : []),
    ...(can("repository:create") ? [{ id: "new-repo", group: "Actions", label: "Connect a repository", icon: <Plus size={16} />, run: go("/repositories?new=1") }] : []),
    { id: "theme", group: "Actions", label: dark ? "Use the light theme" : "Use the dark theme", icon: dark ? <Sun size={16} /> : <Moon size={16} />, run: () => (setMode(dark ? "light" : "dark"), onClose()) },
    { id: "help", group: "Actions", label: "Keyboard shortcuts", icon: <Keyboard size={16} />, run: onHelp },
    { id: "sign-out", group: "Actions", label: "Sign out", icon: <LogOut size={16} />, run: () => (onClose(), void signOut()) },
  ];
}

/** Every object and action by a few letters; what was used last comes first. */
export default function Palette({ onClose, onHelp }: { onClose: () => void; onHelp: () => void }) {
  const [query, setQuery] = useState("");
  const [at, setAt] = useState(0);
  const list = useRef<HTMLDivElement>(null);
  const items = useItems(onClose, onHelp);
  const recent = useMemo(readRecent, []);
  const shown = useMemo(() => {
    if (!query.trim()) {
      const last = recent.map((id) => items.find((i) => i.id === id)).filter((i): i is Item => !!i);
      const rest = items.filter((i) => !recent.includes(i.id) && (i.group === "Pages" || i.group === "Actions") && !i.id.startsWith("log:"));
      return [...last.map((i) => ({ ...i, group: "Recent" })), ...rest].slice(0, MAX_SHOWN);
    }
    return items
      .map((item) => ({ item, score: fuzzy(query, item.label) ?? (fuzzy(query, item.hint ?? "") ?? -1000) - 500 }))
      .filter((x) => x.score > -400)
      .sort((a, b) => b.score - a.score)
      .slice(0, MAX_SHOWN)
      .map((x) => x.item);
  }, [items, query, recent]);
  useEffect(() => setAt(0), [query]);
  useEffect(() => list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" }), [at]);

  const run = (item: Item) => {
    localStorage.setItem(RECENT_KEY, JSON.stringify([item.id, ...recent.filter((r) => r !== item.id)].slice(0, 6)));
    item.run();
  };
  const onKeyDown = (e: React.KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (step) {
      e.preventDefault();
      setAt((a) => (a + step + shown.length) % Math.max(1, shown.length));
    } else if (e.key === "Enter") {
      const item = shown[at];
      if (item) run(item);
    }
  };
  return (
    <Dialog open onClose={onClose} maxWidth="sm" fullWidth sx={{ "& .MuiDialog-container": { alignItems: "flex-start" } }} slotProps={{ paper: { "aria-label": "Search and commands", sx: { mt: { xs: 1, sm: "12vh" }, mx: 1 } } }}>
      <Box sx={{ display: "flex", alignItems: "center", gap: 1.25, px: 2, height: 52, borderBottom: "1px solid var(--df-line)" }}>
        <Search size={17} />
        <Box
          component="input"
          autoFocus
          role="combobox"
          aria-expanded="true"
          aria-controls="palette-list"
          aria-activedescendant={shown[at] ? `palette-${at}` : undefined}
          aria-label="Search objects and commands"
          placeholder="Application, container, node or command"
          value={query}
          onChange={(e: React.ChangeEvent<HTMLInputElement>) => setQuery(e.target.value)}
          onKeyDown={onKeyDown}
          sx={{ flex: 1, border: 0, outline: 0, background: "none", font: "inherit", fontSize: 15, color: "inherit", minWidth: 0, "&:focus-visible": { outline: 0 } }}
        />
        <Kbd>Esc</Kbd>
      </Box>
      <Box ref={list} id="palette-list" role="listbox" aria-label="Results" sx={{ maxHeight: "min(420px, 60vh)", overflowY: "auto", p: 0.75 }}>
        {shown.map((item, i) => (
          <Box
            key={`${item.group}:${item.id}`}
            id={`palette-${i}`}
            role="option"
            aria-selected={i === at}
            onMouseMove={() => setAt(i)}
            onClick={() => run(item)}
            sx={{ display: "flex", alignItems: "center", gap: 1.25, px: 1.25, height: 38, borderRadius: "7px", cursor: "pointer", fontSize: 13.5, backgroundColor: i === at ? "var(--df-selected)" : "transparent" }}
          >
            <Box component="span" sx={{ color: "var(--df-muted)", display: "flex" }}>
              {item.icon}
            </Box>
            <span className="df-ellipsis">{item.label}</span>
            {item.hint && (
              <Box component="span" className="df-ellipsis" sx={{ color: "var(--df-muted)", fontSize: 12.5, flexShrink: 2 }}>
                {item.hint}
              </Box>
            )}
            <Box sx={{ flex: 1 }} />
            {item.chip}
            <Box component="span" sx={{ color: "var(--df-muted)", fontSize: 12 }}>
              {item.group}
            </Box>
          </Box>
        ))}
        {!shown.length && <Box sx={{ p: 3, textAlign: "center", color: "var(--df-muted)" }}>Nothing fits "{query}"</Box>}
      </Box>
    </Dialog>
  );
}
