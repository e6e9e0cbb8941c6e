import { Box } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import { Activity } from "lucide-react";
import type { Application } from "@/api/types";
import { queries, useTopics } from "@/live/queries";
import { useLive } from "@/live/store";
import { ActivityList, mergeActivity } from "@/ui/ActivityList";
import { EmptyState, ErrorState, RowsSkeleton } from "@/ui/states";

export default function EventsTab({ app }: { app: Application }) {
  const { data, error, refetch } = useQuery(queries.activity(app.id));
  const live = useLive((s) => s.activity);
  useTopics(["activity.new"]);
  if (error && !data) return <ErrorState error={error} what="The events could not be loaded" retry={() => void refetch()} />;
  if (!data) return <RowsSkeleton rows={8} />;
  const own = mergeActivity(data.items, live).filter((a) => a.object?.id === app.id || a.details?.applicationId === app.id);
  if (!own.length) return <EmptyState icon={<Activity size={28} />} title="Nothing happened lately" text="Syncs, drift, health changes and container events of this application appear here." />;
  return (
    <Box sx={{ border: "1px solid var(--df-line)", borderRadius: 1, backgroundColor: "var(--df-surface)", overflow: "hidden" }}>
      <ActivityList items={own} within={app.id} />
    </Box>
  );
}
