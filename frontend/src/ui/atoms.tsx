import { Box, Tooltip, Typography } from "@mui/material";
import { useEffect, useState, useSyncExternalStore, type ReactNode } from "react";
import { absolute, ago, middle, shortId } from "./format";
import { notify } from "./toasts";

export async function copyText(text: string, what = "Copied"): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    notify({ severity: "success", title: what, text: middle(text, 60) });
  } catch {
    notify({ severity: "error", title: "The browser refused access to the clipboard" });
  }
}

/** An id or digest: 12 characters, whole on hover, copied on click. */
export function Id({ value, label = "id" }: { value: string; label?: string }) {
  return (
    <Tooltip title={value}>
      <Box
        component="button"
        type="button"
        className="df-mono"
        aria-label={`Copy ${label} ${shortId(value)}`}
        onClick={(event: React.MouseEvent) => {
          event.stopPropagation();
          event.preventDefault();
          void copyText(value);
        }}
        sx={{ border: 0, p: 0, background: "none", color: "inherit", cursor: "copy", "&:hover": { color: "var(--df-accent)" } }}
      >
        {shortId(value)}
      </Box>
    </Tooltip>
  );
}

// One clock for all relative times of the page.
const listeners = new Set<() => void>();
let tick = Date.now();
let timer: ReturnType<typeof setInterval> | null = null;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    tick = Date.now();
    for (const l of listeners) l();
  }, 1000);
  return () => {
    listeners.delete(listener);
    if (!listeners.size && timer) {
      clearInterval(timer);
      timer = null;
    }
  };
}

export function useNow(): number {
  return useSyncExternalStore(subscribe, () => tick);
}

export function RelTime({ time, empty = "never" }: { time: string | number | null | undefined; empty?: string }) {
  useNow();
  if (!time) return <span>{empty}</span>;
  return (
    <time className="df-num" dateTime={new Date(time).toISOString()} title={absolute(time)}>
      {ago(time)}
    </time>
  );
}

export function Middle({ text, max }: { text: string; max?: number }) {
  const short = middle(text, max);
  return short === text ? <>{text}</> : <span title={text}>{short}</span>;
}

export function Mono({ children, title }: { children: ReactNode; title?: string }) {
  return (
    <span className="df-mono" title={title}>
      {children}
    </span>
  );
}

export function Card({ title, action, children, flush = false, id }: { title?: ReactNode; action?: ReactNode; children: ReactNode; flush?: boolean; id?: string }) {
  return (
    <Box id={id} component="section" sx={{ backgroundColor: "var(--df-surface)", border: "1px solid var(--df-line)", borderRadius: 1, overflow: "hidden", minWidth: 0 }}>
      {title && (
        <Box sx={{ display: "flex", alignItems: "center", justifyContent: "space-between", gap: 1, px: 2, minHeight: 44, borderBottom: "1px solid var(--df-line)" }}>
          <Typography variant="h2" sx={{ fontSize: 14 }}>
            {title}
          </Typography>
          {action}
        </Box>
      )}
      <Box sx={flush ? undefined : { p: 2 }}>{children}</Box>
    </Box>
  );
}

/** Term and value pairs, one under the other, the values on one edge. */
export function Facts({ rows, width = 132 }: { rows: [string, ReactNode][]; width?: number }) {
  return (
    <Box component="dl" sx={{ m: 0, display: "grid", gridTemplateColumns: `${width}px minmax(0, 1fr)`, columnGap: 2, rowGap: 0.75, fontSize: 13 }}>
      {rows.map(([term, value]) => (
        <Box key={term} sx={{ display: "contents" }}>
          <Box component="dt" sx={{ color: "var(--df-muted)" }}>
            {term}
          </Box>
          <Box component="dd" sx={{ m: 0, minWidth: 0, overflowWrap: "anywhere" }}>
            {value}
          </Box>
        </Box>
      ))}
    </Box>
  );
}

export function useDebounced<T>(value: T, ms: number): T {
  const [late, setLate] = useState(value);
  useEffect(() => {
    const t = setTimeout(() => setLate(value), ms);
    return () => clearTimeout(t);
  }, [value, ms]);
  return late;
}

export function Kbd({ children }: { children: ReactNode }) {
  return (
    <Box
      component="kbd"
      sx={{ fontFamily: "var(--df-sans)", fontSize: 11, lineHeight: "18px", px: 0.625, minWidth: 18, textAlign: "center", display: "inline-block", borderRadius: "4px", border: "1px solid var(--df-line-strong)", color: "var(--df-muted)", backgroundColor: "var(--df-canvas)" }}
    >
      {children}
    </Box>
  );
}
