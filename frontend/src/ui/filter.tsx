import { Box, IconButton, InputAdornment, TextField } from "@mui/material";
import { Search, X } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { Kbd } from "./atoms";
import { useHotkeys } from "./hotkeys";

/** The text filter of a list; `/` brings the keyboard here, Escape gives it back. */
export function FilterField({ value, onChange, label }: { value: string; onChange: (value: string) => void; label: string }) {
  const input = useRef<HTMLInputElement>(null);
  // The URL follows a moment later: a router update per key would lose letters of a fast typist.
  const [text, setText] = useState(value);
  const sent = useRef(value);
  useEffect(() => {
    if (value === sent.current) return;
    sent.current = value;
    setText(value);
  }, [value]);
  useEffect(() => {
    if (text === sent.current) return;
    const t = setTimeout(() => {
      sent.current = text;
      onChange(text);
    }, 120);
    return () => clearTimeout(t);
  }, [text, onChange]);
  useHotkeys({ "/": () => input.current?.focus() });
  return (
    <TextField
      value={text}
      onChange={(e) => setText(e.target.value)}
      placeholder={label}
      inputRef={input}
      sx={{ width: { xs: "100%", sm: 280 } }}
      slotProps={{
        htmlInput: {
          "aria-label": label,
          onKeyDown: (e: React.KeyboardEvent) => {
            if (e.key === "Escape") input.current?.blur();
          },
        },
        input: {
          startAdornment: (
            <InputAdornment position="start">
              <Search size={15} />
            </InputAdornment>
          ),
          endAdornment: text ? (
            <IconButton aria-label="Clear filter" onClick={() => setText("")} sx={{ mr: -1 }}>
              <X size={14} />
            </IconButton>
          ) : (
            <Box component="span" sx={{ display: { xs: "none", sm: "flex" } }}>
              <Kbd>/</Kbd>
            </Box>
          ),
          sx: { height: 34 },
        },
      }}
    />
  );
}

/** Toggle buttons with counts, e.g. one for each health state present. */
export function FilterChips({ options, value, onChange, label, named }: { options: { value: string; label: React.ReactNode; count: number }[]; value: string; onChange: (value: string) => void; label: string; /** Shows the label, where two groups stand side by side. */ named?: boolean }) {
  return (
    <Box role="group" aria-label={label} sx={{ display: "flex", gap: 0.75, flexWrap: "wrap", alignItems: "center" }}>
      {named && <Box component="span" sx={{ fontSize: 12.5, color: "var(--df-muted)", mr: 0.25 }}>{label}</Box>}
      {options.map((o) => {
        const on = o.value === value;
        return (
          <Box
            key={o.value}
            component="button"
            type="button"
            aria-pressed={on}
            onClick={() => onChange(on ? "" : o.value)}
            sx={{ font: "inherit", fontSize: 12.5, color: on ? "var(--df-text)" : "var(--df-muted)", display: "inline-flex", alignItems: "center", gap: 0.75, height: 30, px: 1.125, borderRadius: "7px", border: "1px solid", borderColor: on ? "var(--df-accent)" : "var(--df-line)", backgroundColor: on ? "var(--df-selected)" : "var(--df-surface)", cursor: "pointer", "&:hover": { borderColor: "var(--df-line-strong)" } }}
          >
            {o.label}
            <span className="df-num">{o.count}</span>
          </Box>
        );
      })}
    </Box>
  );
}

/** Every word of the filter has to appear somewhere in the text. */
export function matches(filter: string, ...texts: (string | null | undefined)[]): boolean {
  const hay = texts.filter(Boolean).join(" ").toLowerCase();
  return filter
    .toLowerCase()
    .split(/\s+/)
    .every((word) => hay.includes(word));
}
