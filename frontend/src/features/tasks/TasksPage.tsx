import { Box } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import { ListChecks } from "lucide-react";
import { useNavigate, useParams } from "react-router";
import { actorName } from "@/api/text";
import type { Task, TaskState } from "@/api/types";
import { queries, useTopics } from "@/live/queries";
import { RelTime } from "@/ui/atoms";
import { FilterChips, FilterField, matches } from "@/ui/filter";
import { duration, plural } from "@/ui/format";
import { PageBody, PageHeader } from "@/ui/page";
import { Peek } from "@/ui/peek";
import { EmptyState, ErrorState, RowsSkeleton } from "@/ui/states";
import { lookOf, severity, StatusChip, StatusIcon } from "@/ui/status";
import { DataTable, type Column } from "@/ui/table";
import { isOpenTask, TaskProgress, TaskView } from "@/ui/TaskView";
import { useUrlState } from "@/ui/url";

const ORDER: TaskState[] = ["running", "queued", "failed", "cancelled", "succeeded"];

const columns: Column<Task>[] = [
  { id: "title", header: "Task", primary: true, sort: (t) => t.title, cell: (t) => <Box component="span" sx={{ fontWeight: 550 }}>{t.title}</Box> },
  { id: "state", header: "State", primary: true, width: 130, sort: (t) => severity(t.state), cell: (t) => <StatusChip status={t.state} live /> },
  {
    id: "progress",
    header: "Progress",
    width: 240,
    cell: (t) => (t.error ? <Box component="span" sx={{ color: "var(--df-bad)" }} className="df-ellipsis" title={t.error.message}>{t.error.message}</Box> : <TaskProgress task={t} />),
  },
  { id: "object", header: "Object", sort: (t) => t.object?.name ?? "", cell: (t) => (t.object ? `${t.object.kind} ${t.object.name}` : "none") },
  { id: "by", header: "By", width: 170, sort: (t) => actorName(t.createdBy), cell: (t) => actorName(t.createdBy) },
  { id: "took", header: "Took", width: 100, align: "right", cell: (t) => <span className="df-num">{t.startedAt && t.finishedAt ? duration(Date.parse(t.finishedAt) - Date.parse(t.startedAt)) : "–"}</span> },
  { id: "created", header: "Created", width: 120, sort: (t) => t.createdAt, cell: (t) => <RelTime time={t.createdAt} /> },
];

// Nothing to show in it: every task of the list ended well.
const quiet = columns.filter((c) => c.id !== "progress");

export default function TasksPage() {
  const { id } = useParams();
  const navigate = useNavigate();
  const { data, error, refetch } = useQuery(queries.tasks());
  const [q, setQ] = useUrlState("q");
  const [state, setState] = useUrlState("state");
  useTopics(["task.status"]);
  const all = data?.items ?? [];
  const found = all.filter((t) => (!state || t.state === state) && (!q || matches(q, t.title, t.kind, t.object?.name)));
  return (
    <PageBody>
      <PageHeader title="Tasks" name="Tasks" facts={data && <span>{plural(all.length, "recent task")}</span>} />
      {error && !data ? (
        <ErrorState error={error} what="Tasks could not be loaded" retry={() => void refetch()} />
      ) : !data ? (
        <RowsSkeleton rows={8} />
      ) : !all.length ? (
        <EmptyState icon={<ListChecks size={30} />} title="No task has run" text="Every sync, rollback and container action is a task with steps and a log." command="dsctl get tasks" />
      ) : (
        <>
          <Box sx={{ display: "flex", gap: 1, mb: 2, flexWrap: "wrap", alignItems: "center" }}>
            <FilterField value={q} onChange={setQ} label="Filter tasks" />
            <FilterChips
              label="State"
              value={state}
              onChange={setState}
              options={ORDER.map((s) => ({
                value: s,
                count: all.filter((t) => t.state === s).length,
                label: (
                  <>
                    <StatusIcon status={s} size={15} /> {lookOf(s).word}
                  </>
                ),
              })).filter((o) => o.count)}
            />
          </Box>
          <Box sx={{ border: "1px solid var(--df-line)", borderRadius: 1, overflow: "hidden", backgroundColor: "var(--df-surface)" }}>
            {found.length ? <DataTable label="Tasks" columns={found.some((t) => t.error || isOpenTask(t)) ? columns : quiet} rows={found} rowKey={(t) => t.id} kind="task" selected={id} defaultSort="-created" onOpen={(t) => void navigate(`/tasks/${t.id}`)} /> : <EmptyState title="Nothing fits the filter" text="Try fewer words or another state." />}
          </Box>
        </>
      )}
      {id && (
        <Peek open title="Task" width={600} onClose={() => void navigate("/tasks")}>
          <Box sx={{ p: 2 }}>
            <TaskView id={id} />
          </Box>
        </Peek>
      )}
    </PageBody>
  );
}
