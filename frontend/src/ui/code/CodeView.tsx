import { Box, Button } from "@mui/material";
import { Copy, Download } from "lucide-react";
import { useEffect, useMemo, useRef, type ReactNode } from "react";
import { copyText } from "../atoms";
import { saveText } from "../save";
import { highlight, SYNTAX, type Language } from "./highlight";

const narrow = { display: { xs: "none", sm: "inline" } };
const MAX_LINES = 5_000;

/** Read-only source text with line numbers. */
export function CodeView({ text, language, name, maxHeight = 640, toolbar, first = 1, mark }: { text: string; language: Language; name: string; maxHeight?: number | string; toolbar?: ReactNode; /** Number of the first line. */ first?: number; /** Number of a line to point out. */ mark?: number }) {
  const view = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const el = view.current;
    const line = mark !== undefined ? el?.children[mark - first] : undefined;
    if (el && line instanceof HTMLElement) el.scrollTop = line.offsetTop - el.offsetTop - el.clientHeight / 3;
  }, [mark, first, text]);
  const lines = useMemo(() => text.split("\n"), [text]);
  const shown = lines.length > MAX_LINES ? lines.slice(0, MAX_LINES) : lines;
  return (
    <Box sx={{ border: "1px solid var(--df-line)", borderRadius: 1, overflow: "hidden", backgroundColor: "var(--df-surface)" }}>
      <Box sx={{ display: "flex", alignItems: "center", gap: 1, px: 1.5, minHeight: 40, borderBottom: "1px solid var(--df-line)", flexWrap: "wrap" }}>
        {toolbar ?? (
          <Box className="df-mono" sx={{ color: "var(--df-muted)" }}>
            {name}
          </Box>
        )}
        <Box sx={{ flex: 1 }} />
        <Button color="inherit" aria-label="Copy" sx={{ minWidth: 0 }} startIcon={<Copy size={14} />} onClick={() => void copyText(text)}>
          <Box component="span" sx={narrow}>Copy</Box>
        </Button>
        <Button color="inherit" aria-label="Download" sx={{ minWidth: 0 }} startIcon={<Download size={14} />} onClick={() => saveText(name, text)}>
          <Box component="span" sx={narrow}>Download</Box>
        </Button>
      </Box>
      <Box ref={view} tabIndex={0} role="region" aria-label={name} className="df-mono" sx={{ maxHeight, overflow: "auto", py: 1, fontSize: 12.5, lineHeight: "20px", tabSize: 2 }}>
        {shown.map((line, i) => (
          <Box key={i} aria-current={i + first === mark ? "location" : undefined} sx={{ display: "flex", minWidth: "max-content", ...(i + first === mark && { backgroundColor: "var(--df-selected)", boxShadow: "inset 2px 0 0 var(--df-accent)" }), "&:hover": { backgroundColor: "var(--df-hover)" } }}>
            <Box aria-hidden sx={{ width: 52, pr: 2, textAlign: "right", color: "var(--df-syn-comment)", userSelect: "none", flex: "none" }}>
              {i + first}
            </Box>
            <Box component="code" sx={{ whiteSpace: "pre", pr: 2, font: "inherit" }}>
              {highlight(line, language).map((t, k) => (
                <span key={k} style={{ color: SYNTAX[t.kind] }}>
                  {t.text}
                </span>
              ))}
              {line === "" && " "}
            </Box>
          </Box>
        ))}
        {lines.length > MAX_LINES && <Box sx={{ px: 2, py: 1, color: "var(--df-muted)" }}>{lines.length - MAX_LINES} more lines are in the download.</Box>}
      </Box>
    </Box>
  );
}
