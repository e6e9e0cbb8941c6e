import { Box, Button } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "react-router";
import { queries } from "@/live/queries";
import { RowsSkeleton } from "@/ui/states";
import { Peek } from "@/ui/peek";
import { TaskRow, TaskView } from "@/ui/TaskView";

/** What runs now and what ended last, with steps and log of the chosen one. */
export default function TaskDrawer({ onClose }: { onClose: () => void }) {
  const { data } = useQuery(queries.tasks());
  const [chosen, setChosen] = useState<string | null>(null);
  const rank = (state: string) => (state === "running" ? 0 : state === "queued" ? 1 : 2);
  const tasks = [...(data?.items ?? [])].sort((a, b) => rank(a.state) - rank(b.state) || (a.createdAt < b.createdAt ? 1 : -1)).slice(0, 30);
  return (
    <Peek
      open
      onClose={onClose}
      title={chosen ? "Task" : "Tasks"}
      actions={
        chosen ? (
          <Button onClick={() => setChosen(null)}>All tasks</Button>
        ) : (
          <Button component={Link} to="/tasks" onClick={onClose}>
            Open page
          </Button>
        )
      }
    >
      {chosen ? (
        <Box sx={{ p: 2 }}>
          <TaskView id={chosen} />
        </Box>
      ) : data ? (
        tasks.map((t) => <TaskRow key={t.id} task={t} onOpen={() => setChosen(t.id)} />)
      ) : (
        <RowsSkeleton height={64} />
      )}
      {data && !tasks.length && !chosen && <Box sx={{ p: 4, textAlign: "center", color: "var(--df-muted)" }}>No task has run yet. Syncs, rollbacks and container actions appear here.</Box>}
    </Peek>
  );
}
