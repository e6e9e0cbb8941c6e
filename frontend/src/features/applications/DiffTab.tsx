import { Box, ToggleButton, ToggleButtonGroup } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import { CircleCheck } from "lucide-react";
import { placeText } from "@/api/text";
import type { AppDiff, Application, DiffChange } from "@/api/types";
import { queries } from "@/live/queries";
import { plural, valueText } from "@/ui/format";
import { EmptyState, ErrorState, RowsSkeleton } from "@/ui/states";
import { Hidden, isHidden } from "@/ui/hidden";
import { useUrlState } from "@/ui/url";

const cell = { px: 1.25, py: 0.75, minWidth: 0, overflowWrap: "anywhere", whiteSpace: "pre-wrap" } as const;

function Value({ value, side }: { value: unknown; side: "desired" | "live" }) {
  const none = value === undefined || value === null;
  const tone = side === "desired" ? "ok" : "bad";
  return (
    <Box className="df-mono" sx={{ ...cell, fontSize: 12.5, color: none ? "var(--df-muted)" : `var(--df-${tone})`, backgroundColor: none ? undefined : `var(--df-${tone}-soft)` }}>
      <span className="df-hidden">{side}: </span>
      {none ? "not set" : isHidden(value) ? <Hidden /> : typeof value === "string" ? value : JSON.stringify(value, null, 2)}
    </Box>
  );
}

function Change({ change, inline }: { change: DiffChange; inline: boolean }) {
  const place = placeText(change.source);
  return (
    <Box sx={{ borderTop: "1px solid var(--df-line)" }}>
      <Box sx={{ display: "flex", gap: 1.5, px: 1.25, pt: 0.75, fontSize: 12.5, flexWrap: "wrap" }}>
        <span className="df-mono">{change.path}</span>
        {change.cause && change.cause !== `${change.path} changed` && <Box component="span" sx={{ color: "var(--df-muted)" }}>{change.cause}</Box>}
        {place && (
          <Box component="span" className="df-mono" sx={{ ml: "auto", color: "var(--df-muted)" }}>
            {place}
          </Box>
        )}
      </Box>
      <Box sx={{ display: "grid", gridTemplateColumns: inline ? "1fr" : { xs: "1fr", sm: "1fr 1fr" }, gap: "1px", mt: 0.75 }}>
        <Value value={change.live} side="live" />
        <Value value={change.desired} side="desired" />
      </Box>
    </Box>
  );
}

export function ServiceDiff({ service, inline = true }: { service: AppDiff["services"][number]; inline?: boolean }) {
  return (
    <Box component="section" aria-label={service.name} sx={{ border: "1px solid var(--df-line)", borderRadius: 1, overflow: "hidden", backgroundColor: "var(--df-surface)" }}>
      <Box sx={{ display: "flex", px: 1.5, minHeight: 40, alignItems: "center", fontWeight: 600, fontSize: 13 }}>
        {service.name}
        <Box component="span" sx={{ ml: "auto", fontWeight: 400, color: "var(--df-muted)" }}>
          {plural(service.changes.length, "difference")}
        </Box>
      </Box>
      {!inline && (
        <Box sx={{ display: { xs: "none", sm: "grid" }, gridTemplateColumns: "1fr 1fr", px: 1.25, pb: 0.5, fontSize: 12, color: "var(--df-muted)" }}>
          <span>Running now</span>
          <span>In the repository</span>
        </Box>
      )}
      {service.changes.map((c, i) => (
        <Change key={`${c.path}${i}`} change={c} inline={inline} />
      ))}
    </Box>
  );
}

export default function DiffTab({ app }: { app: Application }) {
  const { data, error, refetch } = useQuery(queries.diff(app.id));
  const [view, setView] = useUrlState("view", "split");
  if (error && !data) return <ErrorState error={error} what="The comparison could not be made" retry={() => void refetch()} />;
  if (!data) return <RowsSkeleton rows={5} />;
  const changed = data.services.filter((s) => s.changes.length);
  if (!changed.length) return <EmptyState icon={<CircleCheck size={28} color="var(--df-ok)" />} title="No difference" text="What runs is what the repository describes." command={`dsctl diff application ${app.name}`} />;
  return (
    <Box sx={{ display: "grid", gap: 1.5 }}>
      <Box sx={{ display: "flex", alignItems: "center", fontSize: 13, color: "var(--df-muted)" }}>
        {plural(changed.length, "service")} {changed.length === 1 ? "differs" : "differ"} from the repository at {valueText(app.sync.desiredCommit?.slice(0, 12))}
        <ToggleButtonGroup exclusive size="small" value={view} onChange={(_, v: string | null) => v && setView(v)} aria-label="Layout" sx={{ ml: "auto", flex: "none", display: { xs: "none", sm: "inline-flex" } }}>
          <ToggleButton value="split">Side by side</ToggleButton>
          <ToggleButton value="inline">Inline</ToggleButton>
        </ToggleButtonGroup>
      </Box>
      {changed.map((s) => (
        <ServiceDiff key={s.name} service={s} inline={view === "inline"} />
      ))}
    </Box>
  );
}
