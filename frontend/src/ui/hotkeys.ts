import { useEffect, useRef } from "react";

type Handler = (event: KeyboardEvent) => void;

function inField(target: EventTarget | null): boolean {
  const el = target as HTMLElement | null;
  return !!el?.closest?.("input, textarea, select, [contenteditable=true]");
}

const PREFIX_MS = 900;
/** The first key of a sequence, and the event that came right after it. */
let prefix: { key: string; at: number; next?: KeyboardEvent } | null = null;

/**
 * Keys of a view, e.g. {"/": focus, "j": next, "g a": open}. Keys stay quiet in fields and under dialogs;
 * "mod+k" means Ctrl or Command and works everywhere.
 */
export function useHotkeys(keys: Record<string, Handler>, active = true): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    if (!active) return;
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.altKey) return;
      const map = latest.current;
      if (event.ctrlKey || event.metaKey) {
        const handler = map[`mod+${event.key.toLowerCase()}`];
        if (handler) {
          event.preventDefault();
          handler(event);
        }
        return;
      }
      if (inField(event.target) || document.querySelector("[role=dialog], [role=menu]")) return;
      const second = prefix?.next === event && Date.now() - prefix.at < PREFIX_MS ? prefix.key : null;
      const handler = second ? map[`${second} ${event.key}`] : map[event.key];
      if (handler) {
        event.preventDefault();
        handler(event);
      }
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [active]);
}

/** Remembers the first key of a two-key sequence, before any view sees the event; installed once by the shell. */
export function usePrefixKey(key: string): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key.length > 1) return;
      const starts = event.key === key && !event.ctrlKey && !event.metaKey && !inField(event.target);
      if (prefix && !prefix.next) prefix.next = event;
      else prefix = starts ? { key, at: Date.now() } : null;
    };
    window.addEventListener("keydown", onKey, true);
    return () => window.removeEventListener("keydown", onKey, true);
  }, [key]);
}
