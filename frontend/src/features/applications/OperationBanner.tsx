import { Alert, Box, Button, LinearProgress } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import { CircleX } from "lucide-react";
import { useMemo } from "react";
import { Link } from "react-router";
import { call } from "@/api/client";
import { activeOperation, placeText } from "@/api/text";
import type { Application, Deployment } from "@/api/types";
import { queries } from "@/live/queries";
import { useLive } from "@/live/store";
import { useNow } from "@/ui/atoms";
import { duration } from "@/ui/format";
import { StatusIcon } from "@/ui/status";
import { Steps } from "@/ui/TaskView";
import { useAction } from "@/ui/tasks";

/** A deployment with the newest state of each operation, from the record and the events since. */
export function useLiveDeployment(id: string | undefined): Deployment | undefined {
  const { data } = useQuery({ ...queries.deployment(id ?? ""), enabled: !!id });
  const progress = useLive((s) => (id ? s.progress[id] : undefined));
  return useMemo(() => {
    if (!data || !progress || (data.status !== "running" && data.status !== "pending")) return data;
    const ops = data.ops?.map((op) => {
      const live = progress.ops[op.id];
      return live ? { ...op, state: live.state, error: live.error ?? op.error, startedAt: op.startedAt ?? live.startedAt ?? null, finishedAt: op.finishedAt ?? live.finishedAt ?? null } : op;
    });
    return { ...data, ops };
  }, [data, progress]);
}

/** What runs on the application right now, operation by operation. */
export function OperationBanner({ app }: { app: Application }) {
  const now = useNow();
  const { busy, run } = useAction();
  const op = activeOperation(app);
  const { data: list } = useQuery({ ...queries.deployments(app.id), enabled: !!op });
  const running = list?.items.find((d) => d.status === "running" || d.status === "pending");
  const deployment = useLiveDeployment(op ? running?.id : undefined);
  if (!op) return null;
  const ops = deployment?.ops ?? [];
  const done = ops.filter((o) => o.state !== "pending" && o.state !== "running").length;
  return (
    <Box role="status" data-part="operation" sx={{ border: "1px solid var(--df-line)", borderLeft: "3px solid var(--df-busy)", borderRadius: 1, backgroundColor: "var(--df-surface)", mb: 2, overflow: "hidden" }}>
      <Box sx={{ display: "flex", alignItems: "center", gap: 1.25, px: 2, minHeight: 48, flexWrap: "wrap" }}>
        <StatusIcon status="running" live />
        <Box sx={{ fontWeight: 600 }}>
          {op.kind.replace(/^application\./, "").replace(/^./, (c) => c.toUpperCase())} {op.state === "queued" ? "is queued" : "is running"}
        </Box>
        <Box className="df-num" sx={{ fontSize: 13, color: "var(--df-muted)" }}>
          {ops.length ? `${done} of ${ops.length} operations, ` : ""}
          {op.startedAt ? duration(Math.max(0, now - Date.parse(op.startedAt))) : "waiting"}
        </Box>
        <Box sx={{ flex: 1 }} />
        <Button color="inherit" startIcon={<CircleX size={15} />} loading={busy !== null} onClick={() => void run("Cancel", () => call("POST /tasks/{id}/cancel", { path: { id: op.taskId } }))}>
          Cancel
        </Button>
      </Box>
      <LinearProgress aria-label="Progress of the deployment" variant={ops.length ? "determinate" : "indeterminate"} value={ops.length ? (100 * done) / ops.length : undefined} sx={{ height: 2 }} />
      {ops.length > 0 && (
        <Box sx={{ px: 2, py: 0.5, maxHeight: 260, overflowY: "auto" }} tabIndex={0} role="region" aria-label="Operations">
          <Steps steps={ops} />
        </Box>
      )}
    </Box>
  );
}

/** Why the application can't be worked on, with the place in its files. */
export function ErrorBanner({ app }: { app: Application }) {
  if (!app.error) return null;
  const place = placeText(app.error.details);
  return (
    <Alert severity="error" sx={{ mb: 2, "& .MuiAlert-message": { minWidth: 0, overflowWrap: "anywhere" } }} data-part="error">
      <Box sx={{ fontWeight: 600 }}>
        {app.error.message}
      </Box>
      <Box sx={{ display: "flex", gap: 1.5, flexWrap: "wrap", fontSize: 12.5, mt: 0.25 }}>
        {place && (
          <Box component="span" className="df-mono" sx={{ fontWeight: 600 }} data-part="place">
            {place}
          </Box>
        )}
        <span className="df-mono">{app.error.code}</span>
        {app.sync.deployedCommit && <span>What was deployed before keeps running.</span>}
        {!place && (
          <Box component={Link} to={`/applications/${app.id}/settings`} sx={{ color: "var(--df-accent)" }}>
            Check branch, folder and compose files
          </Box>
        )}
      </Box>
    </Alert>
  );
}
