import { Box } from "@mui/material";
import { CircleX } from "lucide-react";
import { useLayoutEffect, useMemo, useRef, useState } from "react";
import { SYNTAX, highlight } from "../../code/highlight";
import type { Problem } from "./document";

const LINE = 20;
const PAD = 10;
const text = { m: 0, p: `${PAD}px 12px`, border: 0, fontFamily: "var(--df-mono)", fontSize: 13, lineHeight: `${LINE}px`, whiteSpace: "pre", tabSize: 2, fontFeatureSettings: '"calt" 0' } as const;

interface Props {
  value: string;
  onChange: (value: string) => void;
  problems: Problem[];
  label: string;
  readOnly?: boolean;
}

/** A small text editor for YAML: colours, line numbers, problems at their lines. The text stays a plain text field. */
export function YamlEditor({ value, onChange, problems, label, readOnly }: Props) {
  const field = useRef<HTMLTextAreaElement>(null);
  const caret = useRef<number | null>(null);
  const [left, setLeft] = useState(0);
  const lines = useMemo(() => value.split("\n"), [value]);
  const bad = new Map(problems.map((p) => [p.line, p]));
  useLayoutEffect(() => {
    if (caret.current === null || !field.current) return;
    field.current.setSelectionRange(caret.current, caret.current);
    caret.current = null;
  });

  const onKeyDown = (e: React.KeyboardEvent<HTMLTextAreaElement>) => {
    // Tab leaves the field, as everywhere; Enter keeps the indent of its line.
    if (e.key !== "Enter" || e.ctrlKey || e.metaKey || readOnly) return;
    const { selectionStart: from, selectionEnd: to } = e.currentTarget;
    const line = value.slice(value.lastIndexOf("\n", from - 1) + 1, from);
    const indent = (/^\s*/.exec(line)?.[0] ?? "") + (/:\s*$/.test(line) ? "  " : "");
    e.preventDefault();
    caret.current = from + 1 + indent.length;
    onChange(`${value.slice(0, from)}\n${indent}${value.slice(to)}`);
  };
  const goTo = (p: Problem) => {
    const start = lines.slice(0, p.line - 1).reduce((n, l) => n + l.length + 1, 0) + p.column - 1;
    field.current?.focus();
    field.current?.setSelectionRange(start, start + Math.max(1, (lines[p.line - 1]?.length ?? 1) - p.column + 1));
  };
  return (
    <Box>
      <Box sx={{ display: "flex", border: "1px solid", borderColor: problems.length ? "var(--df-bad)" : "var(--df-line-strong)", borderRadius: 1, overflow: "hidden", backgroundColor: "var(--df-surface)", "&:focus-within": { outline: "2px solid var(--df-accent)", outlineOffset: 1 } }}>
        <Box aria-hidden sx={{ ...text, p: `${PAD}px 10px ${PAD}px 0`, width: 48, flex: "none", textAlign: "right", color: "var(--df-syn-comment)", backgroundColor: "var(--df-canvas)", borderRight: "1px solid var(--df-line)", userSelect: "none" }}>
          {lines.map((_, i) => (
            <Box key={i} sx={bad.has(i + 1) ? { color: "var(--df-bad)", fontWeight: 700 } : undefined}>
              {i + 1}
            </Box>
          ))}
        </Box>
        <Box sx={{ position: "relative", flex: 1, minWidth: 0, overflow: "hidden" }}>
          <Box aria-hidden component="pre" sx={{ ...text, position: "absolute", inset: 0, pointerEvents: "none", transform: `translateX(${-left}px)`, minWidth: "max-content" }}>
            {lines.map((line, i) => (
              <Box key={i} component="span" sx={{ display: "block", minHeight: LINE, ...(bad.has(i + 1) && { backgroundColor: "var(--df-bad-soft)" }) }}>
                {highlight(line, "yaml").map((t, k) => (
                  <span key={k} style={{ color: SYNTAX[t.kind] }}>
                    {t.text}
                  </span>
                ))}
              </Box>
            ))}
          </Box>
          <Box
            component="textarea"
            ref={field}
            value={value}
            readOnly={readOnly}
            aria-label={label}
            aria-invalid={problems.length > 0}
            spellCheck={false}
            autoComplete="off"
            wrap="off"
            rows={Math.max(lines.length, 12)}
            onChange={(e: React.ChangeEvent<HTMLTextAreaElement>) => onChange(e.target.value)}
            onKeyDown={onKeyDown}
            onScroll={(e: React.UIEvent<HTMLTextAreaElement>) => setLeft(e.currentTarget.scrollLeft)}
            sx={{ ...text, display: "block", width: "100%", resize: "none", outline: 0, background: "none", position: "relative", color: "transparent", caretColor: "var(--df-text)", overflowX: "auto", overflowY: "hidden", "&:focus-visible": { outline: 0 }, "&::selection": { backgroundColor: "color-mix(in srgb, var(--df-accent) 30%, transparent)" } }}
          />
        </Box>
      </Box>
      <Box component="ul" aria-live="polite" aria-label="Problems" sx={{ listStyle: "none", m: 0, p: 0, mt: problems.length ? 1 : 0, display: "grid", gap: 0.25 }}>
        {problems.map((p, i) => (
          <Box component="li" key={i}>
            <Box component="button" type="button" onClick={() => goTo(p)} sx={{ font: "inherit", fontSize: 13, color: "var(--df-bad)", display: "flex", gap: 1, alignItems: "baseline", border: 0, background: "none", p: 0, py: 0.25, cursor: "pointer", textAlign: "left", "&:hover": { textDecoration: "underline" } }}>
              <CircleX size={13} style={{ flex: "none", alignSelf: "center" }} />
              <span className="df-mono">
                {p.line}:{p.column}
              </span>
              {p.pointer && <span className="df-mono">{p.pointer}</span>}
              <span>{p.message}</span>
            </Box>
          </Box>
        ))}
      </Box>
    </Box>
  );
}
