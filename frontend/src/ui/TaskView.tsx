import { Alert, Box, Button, LinearProgress } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import { call } from "@/api/client";
import { actorName } from "@/api/text";
import type { Task, TaskStep } from "@/api/types";
import { queries, useTopics } from "@/live/queries";
import { Facts, Id, RelTime, useNow } from "./atoms";
import { duration } from "./format";
import { ErrorState, RowsSkeleton } from "./states";
import { StatusChip, StatusIcon } from "./status";
import { useAction } from "./tasks";

export const isOpenTask = (t: Task) => t.state === "running" || t.state === "queued";

function Elapsed({ from, to }: { from: string | null; to: string | null }) {
  const now = useNow();
  if (!from) return null;
  return <span className="df-num">{duration((to ? Date.parse(to) : now) - Date.parse(from))}</span>;
}

export function TaskProgress({ task }: { task: Task }) {
  const p = task.progress;
  if (!isOpenTask(task)) return null;
  return (
    <Box>
      <LinearProgress aria-label={`Progress of ${task.title}`} variant={p?.total ? "determinate" : "indeterminate"} value={p?.total ? (100 * p.done) / p.total : undefined} sx={{ height: 4, borderRadius: 2 }} />
      {p && (
        <Box className="df-num" sx={{ mt: 0.5, fontSize: 12, color: "var(--df-muted)" }}>
          {p.total === 100 ? `${p.done}%` : p.total ? `${p.done} of ${p.total}` : ""} {p.text}
        </Box>
      )}
    </Box>
  );
}

export function TaskRow({ task, onOpen }: { task: Task; onOpen: () => void }) {
  return (
    <Box
      component="button"
      type="button"
      onClick={onOpen}
      sx={{ font: "inherit", color: "inherit", display: "block", width: "100%", textAlign: "left", px: 2, py: 1.25, border: 0, borderBottom: "1px solid var(--df-line)", background: "none", cursor: "pointer", "&:hover": { backgroundColor: "var(--df-hover)" }, "&:focus-visible": { outlineOffset: -2 } }}
    >
      <Box sx={{ display: "flex", alignItems: "center", gap: 1 }}>
        <StatusIcon status={task.state} live />
        <Box sx={{ fontWeight: 550, fontSize: 13, flex: 1, minWidth: 0 }} className="df-ellipsis">
          {task.title}
        </Box>
        <Box sx={{ fontSize: 12, color: "var(--df-muted)", whiteSpace: "nowrap" }}>
          <RelTime time={task.finishedAt ?? task.startedAt ?? task.createdAt} />
        </Box>
      </Box>
      <Box sx={{ pl: 3, mt: 0.5 }}>
        <TaskProgress task={task} />
        {task.error && <Box sx={{ fontSize: 12.5, color: "var(--df-bad)" }}>{task.error.message}</Box>}
      </Box>
    </Box>
  );
}

export function Steps({ steps }: { steps: (TaskStep & { hint?: string })[] }) {
  return (
    <Box component="ol" sx={{ m: 0, p: 0, listStyle: "none" }}>
      {steps.map((s) => (
        <Box component="li" key={s.id} sx={{ display: "flex", gap: 1.25, py: 0.75, borderBottom: "1px solid var(--df-line)", "&:last-child": { borderBottom: 0 }, fontSize: 13 }} data-state={s.state}>
          <Box sx={{ pt: "2px" }}>
            <StatusIcon status={s.state} live />
          </Box>
          <Box sx={{ flex: 1, minWidth: 0, color: s.state === "pending" || s.state === "queued" ? "var(--df-muted)" : undefined }}>
            {s.title}
            <span className="df-hidden"> ({s.state})</span>
            {s.error && <Box sx={{ color: "var(--df-bad)", fontSize: 12.5, overflowWrap: "anywhere" }}>{s.error.message}</Box>}
          </Box>
          <Box sx={{ color: "var(--df-muted)", fontSize: 12 }}>
            <Elapsed from={s.startedAt} to={s.finishedAt} />
          </Box>
        </Box>
      ))}
    </Box>
  );
}

function Log({ id }: { id: string }) {
  const { data } = useQuery(queries.taskLog(id));
  if (!data?.items.length) return null;
  return (
    <Box>
      <Box sx={{ fontWeight: 600, fontSize: 13, mb: 0.75 }}>Log</Box>
      <Box className="df-mono" tabIndex={0} role="region" aria-label="Task log" sx={{ fontSize: 12, lineHeight: "19px", maxHeight: 320, overflow: "auto", border: "1px solid var(--df-line)", borderRadius: 1, p: 1, backgroundColor: "var(--df-canvas)" }}>
        {data.items.map((l) => (
          <Box key={l.seq} sx={{ display: "flex", gap: 1.25, color: l.level === "error" ? "var(--df-bad)" : l.level === "warn" ? "var(--df-warn)" : undefined }}>
            <Box component="span" sx={{ color: "var(--df-muted)", flex: "none" }}>
              {new Date(l.time).toISOString().slice(11, 19)}
            </Box>
            <Box component="span" sx={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>
              {l.text}
            </Box>
          </Box>
        ))}
      </Box>
    </Box>
  );
}

export function TaskView({ id }: { id: string }) {
  const { data: task, error, refetch } = useQuery(queries.task(id));
  const { busy, run } = useAction();
  useTopics(["task.status"]);
  if (error) return <ErrorState error={error} what="The task could not be loaded" retry={() => void refetch()} />;
  if (!task) return <RowsSkeleton rows={5} height={36} />;
  return (
    <Box sx={{ display: "grid", gap: 2 }}>
      <Box sx={{ display: "flex", alignItems: "center", gap: 1, flexWrap: "wrap" }}>
        <Box sx={{ fontWeight: 650, fontSize: 15 }}>{task.title}</Box>
        <StatusChip status={task.state} live />
        <Box sx={{ flex: 1 }} />
        {isOpenTask(task) && (
          <Button variant="outlined" loading={busy !== null} onClick={() => void run("Cancel", () => call("POST /tasks/{id}/cancel", { path: { id } }))}>
            Cancel task
          </Button>
        )}
      </Box>
      <TaskProgress task={task} />
      {task.error && (
        <Alert severity="error">
          <strong>{task.error.code}</strong> {task.error.message}
        </Alert>
      )}
      <Facts
        rows={[
          ["Id", <Id key="i" value={task.id} label="task id" />],
          ["Object", task.object ? `${task.object.kind} ${task.object.name}` : "none"],
          ["Started by", actorName(task.createdBy)],
          ["Created", <RelTime key="c" time={task.createdAt} />],
          ["Took", <Elapsed key="e" from={task.startedAt} to={task.finishedAt} />],
        ]}
      />
      {task.steps?.length > 0 && (
        <Box>
          <Box sx={{ fontWeight: 600, fontSize: 13, mb: 0.5 }}>Steps</Box>
          <Steps steps={task.steps} />
        </Box>
      )}
      <Log id={id} />
    </Box>
  );
}
