import { Alert, Box, Checkbox } from "@mui/material";
import { ArrowRight, ArrowRightLeft, CircleStop, Download, FileInput, Hammer, HeartPulse, HardDrive, Network, Pencil, Play, Plug, Plus, Recycle, Trash2, TriangleAlert } from "lucide-react";
import type { ReactNode } from "react";
import { placeText } from "@/api/text";
import type { Cause, Plan, PlanOp } from "@/api/types";
import { plural, titleCase, valueText } from "@/ui/format";
import { Hidden, isHidden } from "@/ui/hidden";
import type { GroupedPlan } from "./plan";

const ICONS: Record<string, ReactNode> = {
  pull: <Download size={15} />,
  build: <Hammer size={15} />,
  createNetwork: <Network size={15} />,
  removeNetwork: <Network size={15} />,
  recreateNetwork: <Network size={15} />,
  createVolume: <HardDrive size={15} />,
  create: <Plus size={15} />,
  start: <Play size={15} />,
  stop: <CircleStop size={15} />,
  remove: <Trash2 size={15} />,
  prune: <Trash2 size={15} />,
  rename: <Pencil size={15} />,
  connect: <Plug size={15} />,
  putFiles: <FileInput size={15} />,
  waitHealthy: <HeartPulse size={15} />,
  waitCompleted: <HeartPulse size={15} />,
  recreate: <Recycle size={15} />,
  switchRoute: <ArrowRightLeft size={15} />,
};

function CauseLine({ cause }: { cause: Cause }) {
  const place = placeText(cause);
  const change = cause.from !== undefined || cause.to !== undefined;
  const long = valueText(cause.from).length > 48 || valueText(cause.to).length > 48;
  return (
    <Box sx={{ fontSize: 12.5, color: "var(--df-muted)", display: "grid", gap: 0.5, minWidth: 0 }}>
      <Box sx={{ display: "flex", gap: 1, flexWrap: "wrap", alignItems: "baseline" }}>
        <span>{cause.message}</span>
        {place && (
          <Box component="span" className="df-mono" sx={{ color: "var(--df-text)" }}>
            {place}
          </Box>
        )}
      </Box>
      {change && (
        <Box className="df-mono" sx={{ display: "flex", flexDirection: long ? "column" : "row", flexWrap: long ? "nowrap" : "wrap", alignItems: long ? "flex-start" : "center", gap: long ? 0.25 : 0.75, color: "var(--df-text)", minWidth: 0 }}>
          {cause.path && !cause.message.startsWith(cause.path) && <Box component="span" sx={{ color: "var(--df-muted)" }}>{cause.path}</Box>}
          <Box component="del" sx={{ textDecoration: "none", px: 0.75, borderRadius: "4px", backgroundColor: "var(--df-bad-soft)", color: "var(--df-bad)", overflowWrap: "anywhere" }}>
            {isHidden(cause.from) ? <Hidden /> : valueText(cause.from)}
          </Box>
          {long ? <span className="df-hidden">to</span> : <ArrowRight size={13} aria-label="to" />}
          <Box component="ins" sx={{ textDecoration: "none", px: 0.75, borderRadius: "4px", backgroundColor: "var(--df-ok-soft)", color: "var(--df-ok)", overflowWrap: "anywhere" }}>
            {isHidden(cause.to) ? <Hidden /> : valueText(cause.to)}
          </Box>
        </Box>
      )}
    </Box>
  );
}

function Op({ op }: { op: PlanOp }) {
  return (
    <Box component="li" data-op={op.kind} sx={{ display: "grid", gridTemplateColumns: "18px minmax(0,1fr)", gap: 1.25, py: 1, px: 1.5, borderTop: "1px solid var(--df-line)" }}>
      <Box sx={{ pt: "3px", color: op.destructive ? "var(--df-bad)" : "var(--df-muted)" }}>{ICONS[op.kind] ?? <Play size={15} />}</Box>
      <Box sx={{ minWidth: 0, display: "grid", gap: 0.5 }}>
        <Box sx={{ fontSize: 13.5, display: "flex", gap: 1, flexWrap: "wrap", alignItems: "center" }}>
          <Box component="span" sx={{ overflowWrap: "anywhere" }}>
            {op.title || `${titleCase(op.kind)} ${op.object}`}
          </Box>
          {op.destructive && (
            <Box component="span" sx={{ fontSize: 12, fontWeight: 550, color: "var(--df-bad)" }}>
              {op.reversible ? "replaces what runs" : "can't be undone"}
            </Box>
          )}
        </Box>
        {(op.cause ?? []).map((c, i) => (
          <CauseLine key={i} cause={c} />
        ))}
      </Box>
    </Box>
  );
}

interface Props {
  plan: Plan;
  grouped: GroupedPlan;
  /** Services left out; without the setter nothing can be chosen. */
  off?: ReadonlySet<string>;
  onToggle?: (service: string) => void;
}

/** What a sync would do and why, service by service. */
export function PlanView({ plan, grouped, off, onToggle }: Props) {
  return (
    <Box sx={{ display: "grid", gap: 1.5 }}>
      {plan.warnings.map((w, i) => (
        <Alert key={i} severity="warning">
          {w}
        </Alert>
      ))}
      {grouped.destructive.length > 0 && (
        <Box data-part="destructive" sx={{ border: "1px solid var(--df-bad)", borderRadius: 1, p: 1.5, backgroundColor: "var(--df-bad-soft)" }}>
          <Box sx={{ display: "flex", gap: 1, alignItems: "center", fontWeight: 600, fontSize: 13, color: "var(--df-bad)" }}>
            <TriangleAlert size={16} />
            {plural(grouped.destructive.length, "operation")} {grouped.destructive.length === 1 ? "stops or removes" : "stop or remove"} something that exists
          </Box>
          <Box component="ul" sx={{ m: 0, mt: 0.75, pl: 4, fontSize: 13 }}>
            {grouped.destructive.map((op) => (
              <li key={op.id}>
                {op.title || op.object}
                {!op.reversible && <strong>, can't be undone</strong>}
              </li>
            ))}
          </Box>
        </Box>
      )}
      {onToggle && grouped.groups.filter((g) => g.service !== null).length > 1 && (
        <Box sx={{ fontSize: 13, color: "var(--df-muted)" }}>Untick a service to leave it as it is. Services are synced as a whole: their operations need each other.</Box>
      )}
      {grouped.groups.map((g) => {
        const on = g.service === null || !off?.has(g.service);
        return (
          <Box key={g.service ?? ""} component="section" aria-label={g.service ?? "Shared"} sx={{ border: "1px solid var(--df-line)", borderRadius: 1, overflow: "hidden", opacity: on ? 1 : 0.55 }}>
            <Box component="label" sx={{ display: "flex", alignItems: "center", gap: 1, px: 1.5, minHeight: 40, backgroundColor: "var(--df-canvas)", fontWeight: 600, fontSize: 13, cursor: onToggle && g.service ? "pointer" : undefined }}>
              {onToggle && g.service !== null && <Checkbox checked={on} onChange={() => onToggle(g.service ?? "")} sx={{ ml: -1, my: -1 }} />}
              {g.service ?? "Shared objects"}
              <Box component="span" sx={{ ml: "auto", fontWeight: 400, color: "var(--df-muted)", fontSize: 12.5 }}>
                {plural(g.ops.length, "operation")}
              </Box>
            </Box>
            <Box component="ol" sx={{ m: 0, p: 0, listStyle: "none" }}>
              {g.ops.map((op) => (
                <Op key={op.id} op={op} />
              ))}
            </Box>
          </Box>
        );
      })}
    </Box>
  );
}
