import { Box } from "@mui/material";
import type { ReactNode } from "react";
import { titleCase } from "./format";

export type Tone = "ok" | "busy" | "bad" | "warn" | "held" | "idle";

interface Look {
  tone: Tone;
  glyph: Glyph;
  word: string;
}

type Glyph = "check" | "half" | "cross" | "pause" | "dashed" | "question" | "equal" | "unequal" | "clock" | "skip" | "back" | "dot";

const look = (tone: Tone, glyph: Glyph, word: string): Look => ({ tone, glyph, word });

/** One vocabulary for every kind of state the product shows: colour, icon and word together. */
const LOOKS: Record<string, Look> = {
  Healthy: look("ok", "check", "Healthy"),
  Progressing: look("busy", "half", "Progressing"),
  Degraded: look("bad", "cross", "Degraded"),
  Suspended: look("held", "pause", "Suspended"),
  Missing: look("warn", "dashed", "Missing"),
  Unknown: look("idle", "question", "Unknown"),
  Synced: look("ok", "equal", "Synced"),
  OutOfSync: look("warn", "unequal", "OutOfSync"),
  queued: look("idle", "clock", "Queued"),
  pending: look("idle", "clock", "Pending"),
  running: look("busy", "half", "Running"),
  succeeded: look("ok", "check", "Succeeded"),
  failed: look("bad", "cross", "Failed"),
  cancelled: look("held", "skip", "Cancelled"),
  skipped: look("idle", "skip", "Skipped"),
  rolledBack: look("held", "back", "Rolled back"),
  online: look("ok", "check", "Online"),
  connecting: look("busy", "half", "Connecting"),
  unreachable: look("bad", "cross", "Unreachable"),
  maintenance: look("held", "pause", "Maintenance"),
  ok: look("ok", "check", "OK"),
  error: look("bad", "cross", "Error"),
  "container:running": look("ok", "dot", "Running"),
  "container:created": look("idle", "dashed", "Created"),
  "container:restarting": look("busy", "half", "Restarting"),
  "container:removing": look("busy", "half", "Removing"),
  "container:paused": look("held", "pause", "Paused"),
  "container:exited": look("idle", "skip", "Exited"),
  "container:dead": look("bad", "cross", "Dead"),
  "user:active": look("ok", "check", "Active"),
  "user:disabled": look("held", "pause", "Disabled"),
  healthy: look("ok", "check", "Healthy"),
  unhealthy: look("bad", "cross", "Unhealthy"),
  starting: look("busy", "half", "Starting"),
};

const GLYPHS: Record<Glyph, ReactNode> = {
  check: <path d="M3.5 8.5 6.7 11.7 12.5 5" />,
  cross: <path d="m4.5 4.5 7 7m0-7-7 7" />,
  pause: <path d="M5.8 4v8M10.2 4v8" />,
  dashed: <circle cx="8" cy="8" r="5" strokeDasharray="2.6 2.640" />,
  question: <path d="M5.8 6.200a2.2 2.2 0 1 1 3.3 1.900c-.7.4-1.1.8-1.1 1.600M8 12.200v.1" />,
  equal: <path d="M4 6.200h8M4 9.800h8" />,
  unequal: <path d="M4 6.200h8M4 9.800h8M10 3.5 6 12.5" />,
  clock: <path d="M8 3a5 5 0 1 1 0 10A5 5 0 0 1 8 3Zm0 2.500V8l1.8 1.2" />,
  skip: <path d="M4 8h8" />,
  back: <path d="M6 4 3 7l3 3M3.5 7h6a3 3 0 0 1 0 6H7" />,
  dot: <circle cx="8" cy="8" r="3" fill="currentColor" />,
  half: (
    <>
      <circle cx="8" cy="8" r="5" />
      <path d="M8 3a5 5 0 0 1 0 10Z" fill="currentColor" stroke="none" />
    </>
  ),
};

export function lookOf(status: string): Look {
  return LOOKS[status] ?? look("idle", "question", titleCase(status.replace(/^container:/, "")));
}

export function StatusIcon({ status, live = false, size = 16 }: { status: string; live?: boolean; size?: number }) {
  const { glyph, tone } = lookOf(status);
  return (
    <svg
      className={live && glyph === "half" ? "df-turn" : undefined}
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.8"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      style={{ color: `var(--df-${tone})`, flex: "none" }}
    >
      {GLYPHS[glyph]}
    </svg>
  );
}

interface ChipProps {
  status: string;
  /** What is unknown, where two chips stand side by side. */
  of?: "Health" | "Sync";
  /** The state is being reported right now; only then may the icon move. */
  live?: boolean;
  title?: string;
  /** Without the tinted ground, for dense tables. */
  plain?: boolean;
}

export function StatusChip({ status, of, live = false, title, plain = false }: ChipProps) {
  const { tone, word } = lookOf(status);
  return (
    <Box
      component="span"
      data-status={status}
      title={title}
      sx={{
        display: "inline-flex",
        alignItems: "center",
        gap: 0.5,
        height: 22,
        px: plain ? 0 : 0.875,
        pl: plain ? 0 : 0.5,
        borderRadius: "6px",
        fontSize: 12,
        fontWeight: 550,
        lineHeight: 1,
        whiteSpace: "nowrap",
        color: `var(--df-${tone})`,
        backgroundColor: plain ? "transparent" : `var(--df-${tone}-soft)`,
      }}
    >
      <StatusIcon status={status} live={live} />
      {of && status === "Unknown" ? `${of} unknown` : word}
    </Box>
  );
}

/** Lower is more urgent: what is wrong comes first in every list. */
export function severity(status: string): number {
  return { bad: 0, warn: 1, busy: 2, held: 3, idle: 4, ok: 5 }[lookOf(status).tone];
}
