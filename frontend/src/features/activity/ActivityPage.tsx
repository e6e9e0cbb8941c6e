import { Box } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import { Activity as ActivityIcon } from "lucide-react";
import { actorName } from "@/api/text";
import { queries, useTopics } from "@/live/queries";
import { useLive } from "@/live/store";
import { ActivityList, mergeActivity } from "@/ui/ActivityList";
import { FilterChips, FilterField, matches } from "@/ui/filter";
import { titleCase } from "@/ui/format";
import { PageBody, PageHeader } from "@/ui/page";
import { EmptyState, ErrorState, RowsSkeleton } from "@/ui/states";
import { useUrlState } from "@/ui/url";

export default function ActivityPage() {
  const { data, error, refetch } = useQuery(queries.activity());
  const live = useLive((s) => s.activity);
  const [q, setQ] = useUrlState("q");
  const [kind, setKind] = useUrlState("kind");
  useTopics(["activity.new", "deployment.finished", "application.deleted", "node.status", "repository.status"]);
  const all = mergeActivity(data?.items ?? [], live);
  const found = all.filter((a) => (!kind || a.object?.kind === kind) && (!q || matches(q, a.text, a.topic, a.object?.name, actorName(a.actor))));
  const kinds = [...new Set(all.map((a) => a.object?.kind).filter((k): k is string => !!k))].sort();
  return (
    <PageBody>
      <PageHeader title="Activity" name="Activity" facts={<span>What people and DockFlow itself did, newest first</span>} />
      {error && !data ? (
        <ErrorState error={error} what="The activity could not be loaded" retry={() => void refetch()} />
      ) : !data ? (
        <RowsSkeleton rows={10} />
      ) : !all.length ? (
        <EmptyState icon={<ActivityIcon size={30} />} title="Nothing has happened yet" text="Deployments, drift, changes of settings and sign-ins appear here as they happen." />
      ) : (
        <>
          <Box sx={{ display: "flex", gap: 1, mb: 2, flexWrap: "wrap", alignItems: "center" }}>
            <FilterField value={q} onChange={setQ} label="Filter activity" />
            <FilterChips label="Kind" value={kind} onChange={setKind} options={kinds.map((k) => ({ value: k, label: titleCase(k), count: all.filter((a) => a.object?.kind === k).length }))} />
          </Box>
          <Box sx={{ border: "1px solid var(--df-line)", borderRadius: 1, overflow: "hidden", backgroundColor: "var(--df-surface)" }}>{found.length ? <ActivityList items={found} /> : <EmptyState title="Nothing fits the filter" text="Try fewer words." />}</Box>
        </>
      )}
    </PageBody>
  );
}
