import { Box, IconButton, Tooltip } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import { PanelLeftClose, PanelLeftOpen } from "lucide-react";
import { NavLink } from "react-router";
import { queries, useCan } from "@/live/queries";
import { useLive } from "@/live/store";
import { liveSocket } from "@/live/bind";
import { RelTime } from "@/ui/atoms";
import { Mark } from "@/ui/Mark";
import { NAV, type NavEntry } from "./entries";

function Entry({ entry, slim, onGo }: { entry: NavEntry; slim: boolean; onGo?: () => void }) {
  const link = (
    <Box
      component={NavLink}
      to={entry.to}
      onClick={onGo}
      aria-label={slim ? entry.label : undefined}
      sx={{
        display: "flex",
        alignItems: "center",
        justifyContent: slim ? "center" : "flex-start",
        gap: 1.25,
        height: { xs: 42, md: 34 },
        px: slim ? 0 : 1.25,
        borderRadius: "7px",
        color: "var(--df-muted)",
        textDecoration: "none",
        fontSize: 13.5,
        fontWeight: 500,
        "&:hover": { backgroundColor: "var(--df-hover)", color: "var(--df-text)" },
        "&.active": { backgroundColor: "var(--df-selected)", color: "var(--df-accent)", fontWeight: 600 },
      }}
    >
      {entry.icon}
      {!slim && entry.label}
    </Box>
  );
  return slim ? (
    <Tooltip title={entry.label} placement="right">
      {link}
    </Tooltip>
  ) : (
    link
  );
}

const LINK_LOOK = {
  live: ["var(--df-ok)", "Live"],
  connecting: ["var(--df-busy)", "Connecting"],
  reconnecting: ["var(--df-warn)", "Reconnecting"],
  stale: ["var(--df-bad)", "Stale"],
  closed: ["var(--df-idle)", "Not connected"],
} as const;

function Connection({ slim }: { slim: boolean }) {
  const link = useLive((s) => s.link);
  const { data: info } = useQuery(queries.info());
  const [colour, word] = LINK_LOOK[link.state];
  const late = link.state === "stale" || link.state === "reconnecting";
  return (
    <Box sx={{ display: "flex", alignItems: "center", gap: 1, px: slim ? 0 : 1.25, justifyContent: slim ? "center" : "flex-start", fontSize: 12, color: "var(--df-muted)", minHeight: 28 }} data-link={link.state}>
      <Tooltip title={slim ? word : ""} placement="right">
        <Box component="span" sx={{ width: 8, height: 8, borderRadius: "50%", flex: "none", backgroundColor: link.state === "live" ? colour : "transparent", border: `2px solid ${colour}` }} />
      </Tooltip>
      {!slim && (
        <>
          <span role="status">
            {word}
            {late && (
              <>
                {" "}
                since <RelTime time={link.since} />
              </>
            )}
          </span>
          {late && (
            <Box component="button" type="button" onClick={() => liveSocket()?.retryNow()} sx={{ font: "inherit", border: 0, background: "none", color: "var(--df-accent)", cursor: "pointer", p: 0 }}>
              retry
            </Box>
          )}
          {!late && info && (
            <Box component="span" className="df-mono" sx={{ ml: "auto" }} title={`Server ${info.version} (${info.commit})`}>
              {info.version}
            </Box>
          )}
        </>
      )}
    </Box>
  );
}

export function Nav({ slim, onToggle, onGo }: { slim: boolean; onToggle?: () => void; onGo?: () => void }) {
  const can = useCan();
  const entries = NAV.filter((e) => !e.permission || can(e.permission));
  const groups = [...new Set(entries.map((e) => e.group ?? ""))];
  return (
    <Box component="nav" aria-label="Main" sx={{ display: "flex", flexDirection: "column", height: "100%", width: slim ? 60 : 232, borderRight: "1px solid var(--df-line)", backgroundColor: "var(--df-surface)" }}>
      <Box sx={{ display: "flex", alignItems: "center", gap: 1.25, height: 56, px: slim ? 0 : 2, justifyContent: slim ? "center" : "flex-start", fontWeight: 700, fontSize: 16, letterSpacing: "-0.015em", flex: "none" }}>
        <Mark />
        {!slim && "DockFlow"}
      </Box>
      <Box sx={{ flex: 1, overflowY: "auto", px: 1.25, pb: 1 }}>
        {groups.map((group) => (
          <Box key={group} sx={{ mb: 1.5 }}>
            {group && !slim && <Box sx={{ px: 1.25, pt: 0.5, pb: 0.5, fontSize: 11.5, fontWeight: 550, color: "var(--df-muted)" }}>{group}</Box>}
            {group && slim && <Box sx={{ mx: 1, my: 1, borderTop: "1px solid var(--df-line)" }} />}
            <Box sx={{ display: "grid", gap: "2px" }}>
              {entries
                .filter((e) => (e.group ?? "") === group)
                .map((e) => (
                  <Entry key={e.to} entry={e} slim={slim} onGo={onGo} />
                ))}
            </Box>
          </Box>
        ))}
      </Box>
      <Box sx={{ p: 1.25, borderTop: "1px solid var(--df-line)", display: "flex", flexDirection: slim ? "column" : "row", alignItems: "center", gap: 0.5 }}>
        <Box sx={{ flex: 1, minWidth: 0 }}>
          <Connection slim={slim} />
        </Box>
        {onToggle && (
          <Tooltip title={slim ? "Widen navigation" : "Collapse navigation"} placement="right">
            <IconButton aria-label={slim ? "Widen navigation" : "Collapse navigation"} aria-expanded={!slim} onClick={onToggle}>
              {slim ? <PanelLeftOpen size={16} /> : <PanelLeftClose size={16} />}
            </IconButton>
          </Tooltip>
        )}
      </Box>
    </Box>
  );
}
