import { Box, Button, Dialog, DialogActions, DialogContent, DialogTitle, FormControlLabel, Radio, RadioGroup } from "@mui/material";
import { ArrowRight } from "lucide-react";
import { useState } from "react";
import { pointerPath } from "@/api/schema";
import { titleCase, valueText } from "../format";
import { withValue, type Merge, type Model } from "./merge";

const nameOf = (pointer: string) => {
  const path = pointerPath(pointer);
  return path.length > 1 && path[1] === "variables" ? path.slice(2).join(".") || "Variables" : path.map(titleCase).join(" · ");
};
const Value = ({ of }: { of: unknown }) => <span className="df-mono">{of === undefined ? "not set" : valueText(of)}</span>;

/** Somebody else saved first: what both changed is chosen here, all the rest is merged and shown. */
export function ConflictDialog({ merge, busy, onClose, onResolve }: { merge: Merge; busy: boolean; onClose: () => void; onResolve: (model: Model) => void }) {
  const [choice, setChoice] = useState<Record<string, "mine" | "theirs">>({});
  const resolve = () => onResolve(merge.conflicts.reduce((m, c) => (choice[c.pointer] === "theirs" ? withValue(m, pointerPath(c.pointer), c.theirs) : m), merge.merged));
  const n = merge.conflicts.length;
  return (
    <Dialog open onClose={onClose} maxWidth="sm" fullWidth>
      <DialogTitle>Somebody else saved first</DialogTitle>
      <DialogContent sx={{ display: "grid", gap: 2 }}>
        <span>{n ? `${n === 1 ? "One value was" : `${n} values were`} changed on both sides: choose which holds. All others are merged.` : "Their changes and yours touch different values and were merged."}</span>
        {merge.conflicts.map((c) => (
          <Box key={c.pointer} component="section" aria-label={nameOf(c.pointer)} sx={{ border: "1px solid var(--df-line-strong)", borderRadius: 1, p: 1.5 }}>
            <Box sx={{ fontWeight: 600, fontSize: 13 }}>{nameOf(c.pointer)}</Box>
            <Box sx={{ fontSize: 12.5, color: "var(--df-muted)", overflowWrap: "anywhere" }}>
              was <Value of={c.base} />
            </Box>
            <RadioGroup value={choice[c.pointer] ?? "mine"} onChange={(e) => setChoice({ ...choice, [c.pointer]: e.target.value as "mine" | "theirs" })}>
              <FormControlLabel value="mine" control={<Radio size="small" />} label={<span>Yours: <Value of={c.mine} /></span>} />
              <FormControlLabel value="theirs" control={<Radio size="small" />} label={<span>Theirs: <Value of={c.theirs} /></span>} />
            </RadioGroup>
          </Box>
        ))}
        {merge.taken.length > 0 && (
          <Box component="dl" sx={{ m: 0, fontSize: 13, display: "grid", gridTemplateColumns: "max-content minmax(0, 1fr)", columnGap: 2, rowGap: 0.5 }}>
            {merge.taken.map((t) => (
              <Box key={t.pointer} sx={{ display: "contents" }}>
                <Box component="dt" sx={{ color: "var(--df-muted)" }}>
                  {t.by === "mine" ? "Yours" : "Theirs"}
                </Box>
                <Box component="dd" sx={{ m: 0, overflowWrap: "anywhere" }}>
                  {nameOf(t.pointer)}: <Value of={t.from} /> <ArrowRight size={12} aria-label="to" style={{ verticalAlign: "-2px" }} /> <Value of={t.to} />
                </Box>
              </Box>
            ))}
          </Box>
        )}
      </DialogContent>
      <DialogActions>
        <Button color="inherit" onClick={onClose}>
          Go on editing
        </Button>
        <Button variant="contained" loading={busy} onClick={resolve}>
          Save merged
        </Button>
      </DialogActions>
    </Dialog>
  );
}
