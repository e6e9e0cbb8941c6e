import { Alert, Box, Button } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import { GitCommitHorizontal, History, RotateCcw, Webhook, Bot, User, HeartPulse } from "lucide-react";
import { useState, type ReactNode } from "react";
import { call } from "@/api/client";
import { activeOperation, actorName, placeText } from "@/api/text";
import type { Application, Deployment } from "@/api/types";
import { queries, useCan } from "@/live/queries";
import { Facts, Id, RelTime } from "@/ui/atoms";
import { ConfirmDialog } from "@/ui/dialogs";
import { duration, plural } from "@/ui/format";
import { Peek } from "@/ui/peek";
import { EmptyState, ErrorState, RowsSkeleton } from "@/ui/states";
import { lookOf, StatusChip, StatusIcon } from "@/ui/status";
import { Steps } from "@/ui/TaskView";
import { useAction } from "@/ui/tasks";
import { useUrlState } from "@/ui/url";
import { useLiveDeployment } from "./OperationBanner";
import { groupPlan } from "./plan";
import { PlanView } from "./PlanView";

const TRIGGERS: Record<Deployment["trigger"], [string, ReactNode]> = {
  manual: ["manual", <User key="i" size={13} />],
  api: ["manual, by API", <Bot key="i" size={13} />],
  auto: ["automatic", <Bot key="i" size={13} />],
  webhook: ["webhook", <Webhook key="i" size={13} />],
  rollback: ["rollback", <RotateCcw key="i" size={13} />],
  selfHeal: ["self-heal", <HeartPulse key="i" size={13} />],
};

const shortImage = (ref: string) => (ref.startsWith("sha256:") ? ref.slice(7, 19) : ref);
const imageText = (ref: string | null): ReactNode => (!ref ? "unknown" : /^(sha256:)?[0-9a-f]{40,}$/.test(ref) ? <Id value={ref} label="image digest" /> : <span className="df-mono">{ref}</span>);
const shortSha = (d: Deployment) => d.commit.sha?.slice(0, 12) ?? "no commit";
const subject = (d: Deployment) => d.commit.message?.split("\n")[0] || "no commit message";

function Entry({ d, current, last, onOpen, onRollback }: { d: Deployment; current: boolean; last: boolean; onOpen: () => void; onRollback?: () => void }) {
  const [trigger, icon] = TRIGGERS[d.trigger] ?? [d.trigger, null];
  const { tone } = lookOf(d.status);
  const total = d.ops?.length ?? d.opsTotal ?? 0;
  const done = d.ops?.filter((o) => o.state === "succeeded").length ?? total;
  return (
    <Box component="li" sx={{ display: "grid", gridTemplateColumns: "24px minmax(0,1fr)", columnGap: 1.5, listStyle: "none" }} data-deployment={d.id}>
      <Box sx={{ display: "flex", flexDirection: "column", alignItems: "center" }}>
        <Box sx={{ width: 24, height: 24, borderRadius: "50%", display: "grid", placeItems: "center", backgroundColor: `var(--df-${tone}-soft)`, mt: 1.5, flex: "none" }}>
          <StatusIcon status={d.status} live size={15} />
        </Box>
        {!last && <Box sx={{ width: "1px", flex: 1, backgroundColor: "var(--df-line-strong)", mt: 0.5 }} />}
      </Box>
      <Box sx={{ border: "1px solid", borderColor: current ? "var(--df-accent)" : "var(--df-line)", borderRadius: 1, backgroundColor: "var(--df-surface)", mb: 1.5, display: "flex", alignItems: "center", gap: 1, "&:hover": { backgroundColor: "var(--df-hover)" } }}>
        <Box component="button" type="button" onClick={onOpen} sx={{ font: "inherit", color: "inherit", flex: 1, minWidth: 0, border: 0, background: "none", textAlign: "left", px: 2, py: 1.25, cursor: "pointer", borderRadius: 1 }}>
          <Box sx={{ display: "flex", gap: 1, alignItems: "center", minWidth: 0 }}>
            <Box component="span" className="df-num" sx={{ color: "var(--df-muted)", fontSize: 13 }}>
              #{d.number}
            </Box>
            <Box component="span" className="df-ellipsis" sx={{ fontWeight: 600 }}>
              {subject(d)}
            </Box>
            {current && (
              <Box component="span" sx={{ fontSize: 12, fontWeight: 550, color: "var(--df-accent)", whiteSpace: "nowrap" }}>
                running now
              </Box>
            )}
          </Box>
          <Box sx={{ display: "flex", flexWrap: "wrap", columnGap: 2, rowGap: 0.25, mt: 0.5, fontSize: 12.5, color: "var(--df-muted)", alignItems: "center" }}>
            <StatusChip status={d.status} live plain />
            <Box component="span" sx={{ display: "inline-flex", alignItems: "center", gap: 0.5 }}>
              <GitCommitHorizontal size={13} />
              <span className="df-mono">{shortSha(d)}</span>
            </Box>
            <Box component="span" sx={{ display: "inline-flex", alignItems: "center", gap: 0.5 }}>
              {icon}
              {trigger}
              {d.user ? `, ${actorName(d.user)}` : ""}
            </Box>
            <span className="df-num">{!total ? (d.status === "succeeded" ? "nothing to do" : "") : done === total ? plural(total, "operation") : `${done} of ${plural(total, "operation")}`}</span>
            {d.durationMs !== null && <span className="df-num">{duration(d.durationMs)}</span>}
            <RelTime time={d.startedAt} empty="not started" />
          </Box>
          {d.error && <Box sx={{ mt: 0.5, fontSize: 12.5, color: "var(--df-bad)", overflowWrap: "anywhere" }}>{d.error.message}</Box>}
        </Box>
        {onRollback && (
          <Button color="inherit" startIcon={<RotateCcw size={15} />} onClick={onRollback} sx={{ mr: 1.5 }} aria-label={`Roll back to number ${d.number}`}>
            <Box component="span" sx={{ display: { xs: "none", sm: "inline" } }}>
              Roll back
            </Box>
          </Button>
        )}
      </Box>
    </Box>
  );
}

function DeploymentPeek({ id, onClose, action }: { id: string; onClose: () => void; action?: ReactNode }) {
  const d = useLiveDeployment(id);
  const plan = d?.plan;
  return (
    <Peek open onClose={onClose} width={640} title={d ? `Deployment #${d.number}` : "Deployment"} chips={d && <StatusChip status={d.status} live />} actions={action}>
      {!d ? (
        <RowsSkeleton rows={6} />
      ) : (
        <Box sx={{ p: 2, display: "grid", gap: 2.5 }}>
          {d.error && (
            <Alert severity="error">
              <strong>{d.error.code}</strong> {d.error.message} {placeText(d.error.details) && <code className="df-mono">{placeText(d.error.details)}</code>}
            </Alert>
          )}
          <Facts
            rows={[
              ["Commit", d.commit.sha ? <Id key="c" value={d.commit.sha} label="commit" /> : "none"],
              ["Message", subject(d)],
              ["Author", d.commit.author ?? "unknown"],
              ["Trigger", `${TRIGGERS[d.trigger]?.[0] ?? d.trigger}${d.user ? `, ${actorName(d.user)}` : ""}`],
              ["Started", <RelTime key="s" time={d.startedAt} />],
              ["Took", duration(d.durationMs)],
            ]}
          />
          <Box>
            <Box sx={{ fontWeight: 600, fontSize: 13, mb: 0.5 }}>Operations</Box>
            {d.ops?.length ? <Steps steps={d.ops} /> : <Box sx={{ fontSize: 13, color: "var(--df-muted)" }}>Nothing had to be done.</Box>}
          </Box>
          {Object.keys(d.images ?? {}).length > 0 && (
            <Box>
              <Box sx={{ fontWeight: 600, fontSize: 13, mb: 0.75 }}>Images</Box>
              <Facts rows={Object.entries(d.images ?? {}).map(([service, digest]) => [service, imageText(digest)])} />
            </Box>
          )}
          {plan && plan.ops.length > 0 && (
            <Box>
              <Box sx={{ fontWeight: 600, fontSize: 13, mb: 0.75 }}>Plan</Box>
              <PlanView plan={plan} grouped={groupPlan(plan)} />
            </Box>
          )}
        </Box>
      )}
    </Peek>
  );
}

export default function HistoryTab({ app }: { app: Application }) {
  const { data, error, refetch } = useQuery(queries.deployments(app.id));
  const [open, setOpen] = useUrlState("deployment");
  const [target, setTarget] = useState<Deployment | null>(null);
  const can = useCan();
  const { run } = useAction();
  if (error && !data) return <ErrorState error={error} what="The history could not be loaded" retry={() => void refetch()} />;
  if (!data) return <RowsSkeleton rows={6} height={72} />;
  if (!data.items.length) return <EmptyState icon={<History size={28} />} title="Never deployed" text="Each sync leaves an entry here with its commit, its plan and how it went." command={`dsctl sync ${app.name}`} />;
  const running = !!activeOperation(app);
  const current = data.items.find((d) => d.status === "succeeded");
  const canGoTo = (d: Deployment) => d.status === "succeeded" && d.id !== current?.id && !running && can("application:rollback");
  const images = target ? Object.entries(target.images ?? {}) : [];
  return (
    <>
      <Box component="ol" aria-label="Deployments" sx={{ m: 0, p: 0 }}>
        {data.items.map((d, i) => (
          <Entry key={d.id} d={d} current={d.id === current?.id} last={i === data.items.length - 1} onOpen={() => setOpen(d.id)} onRollback={canGoTo(d) ? () => setTarget(d) : undefined} />
        ))}
      </Box>
      {open && <DeploymentPeek id={open} onClose={() => setOpen("")} />}
      <ConfirmDialog
        open={!!target}
        title={`Roll back ${app.name}`}
        verb="Roll back"
        danger={false}
        onClose={() => setTarget(null)}
        onConfirm={async () => {
          if (!target) return;
          const done = await run(`Rollback of ${app.name}`, () => call("POST /applications/{id}/rollback", { path: { id: app.id }, body: { deploymentId: target.id } }));
          if (!done) throw new Error("The rollback was refused.");
        }}
      >
        {target && (
          <Box sx={{ display: "grid", gap: 1.5 }}>
            <span>
              The application returns to deployment #{target.number}. Automatic sync stays held at this commit until a newer one arrives or you sync again.
            </span>
            <Facts
              rows={[
                ["Now", <span key="n" className="df-mono">{current ? `${shortSha(current)} ${subject(current)}` : "none"}</span>],
                ["Then", <span key="t" className="df-mono">{`${shortSha(target)} ${subject(target)}`}</span>],
                ...images.map(([s, digest]): [string, ReactNode] => [s, <span key={s} className="df-mono">{digest ? shortImage(digest) : "unknown"}{current?.images?.[s] === digest ? " (unchanged)" : ""}</span>]),
              ]}
            />
            <Box sx={{ color: "var(--df-muted)", fontSize: 13 }}>Volumes keep their data.</Box>
          </Box>
        )}
      </ConfirmDialog>
    </>
  );
}
