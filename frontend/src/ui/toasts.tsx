import { Box, Button, IconButton } from "@mui/material";
import { X } from "lucide-react";
import { useEffect } from "react";
import { Link } from "react-router";
import { create } from "zustand";
import { ApiError } from "@/api/client";
import { StatusIcon } from "./status";

export interface Toast {
  id: number;
  severity: "success" | "error" | "info";
  title: string;
  text?: string;
  link?: { to: string; label: string };
  retry?: () => void;
}

const useToasts = create<{ items: Toast[] }>(() => ({ items: [] }));
let nextId = 1;
const KEEP_MS = 6_000;
const MAX = 4;

export function notify(toast: Omit<Toast, "id">): void {
  useToasts.setState((s) => ({ items: [...s.items, { ...toast, id: nextId++ }].slice(-MAX) }));
}

/** A failure with everything needed to act on it or report it. */
export function notifyError(what: string, error: unknown, retry?: () => void): void {
  const e = error instanceof ApiError ? error : null;
  const text = e ? `${e.code}: ${e.message}${e.requestId ? ` · request ${e.requestId}` : ""}` : String(error);
  notify({ severity: "error", title: what, text, retry });
}

export const clearToasts = () => useToasts.setState({ items: [] });

function dismiss(id: number): void {
  useToasts.setState((s) => ({ items: s.items.filter((t) => t.id !== id) }));
}

function ToastCard({ toast }: { toast: Toast }) {
  const sticky = toast.severity === "error";
  useEffect(() => {
    if (sticky) return;
    const t = setTimeout(() => dismiss(toast.id), KEEP_MS);
    return () => clearTimeout(t);
  }, [toast.id, sticky]);
  const icon = { success: "succeeded", error: "failed", info: "running" }[toast.severity];
  return (
    <Box
      role={sticky ? "alert" : "status"}
      sx={{ display: "flex", alignItems: "flex-start", gap: 1.25, p: 1.5, width: 380, maxWidth: "calc(100vw - 32px)", backgroundColor: "var(--df-raised)", border: "1px solid var(--df-line-strong)", borderRadius: 1, boxShadow: "0 12px 32px rgb(0 0 0 / 0.2)" }}
    >
      <Box sx={{ pt: "2px" }}>
        <StatusIcon status={icon} />
      </Box>
      <Box sx={{ flex: 1, minWidth: 0 }}>
        <Box sx={{ fontWeight: 600, fontSize: 13, overflowWrap: "anywhere" }}>{toast.title}</Box>
        {toast.text && <Box sx={{ fontSize: 12.5, color: "var(--df-muted)", overflowWrap: "anywhere" }}>{toast.text}</Box>}
        {(toast.link || toast.retry || sticky) && (
          <Box sx={{ display: "flex", gap: 0.5, mt: 0.5, ml: -1 }}>
            {toast.link && (
              <Button component={Link} to={toast.link.to} onClick={() => dismiss(toast.id)}>
                {toast.link.label}
              </Button>
            )}
            {toast.retry && (
              <Button
                onClick={() => {
                  dismiss(toast.id);
                  toast.retry?.();
                }}
              >
                Retry
              </Button>
            )}
            {sticky && toast.text && <Button onClick={() => void navigator.clipboard?.writeText(`${toast.title}\n${toast.text}`)}>Copy</Button>}
          </Box>
        )}
      </Box>
      <IconButton aria-label="Dismiss" onClick={() => dismiss(toast.id)} sx={{ m: -0.5 }}>
        <X size={15} />
      </IconButton>
    </Box>
  );
}

export function Toasts() {
  const items = useToasts((s) => s.items);
  return (
    <Box aria-live="polite" sx={{ position: "fixed", right: 16, bottom: 16, zIndex: 1600, display: "flex", flexDirection: "column", gap: 1 }}>
      {items.map((toast) => (
        <ToastCard key={toast.id} toast={toast} />
      ))}
    </Box>
  );
}
