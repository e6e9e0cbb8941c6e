import { Box } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import { Container as ContainerIcon } from "lucide-react";
import { useState } from "react";
import { Link, useNavigate } from "react-router";
import type { Container } from "@/api/types";
import { queries, useTopics } from "@/live/queries";
import { Middle, RelTime } from "@/ui/atoms";
import { FilterChips, FilterField, matches } from "@/ui/filter";
import { plural } from "@/ui/format";
import { PageBody, PageHeader } from "@/ui/page";
import { EmptyState, ErrorState, RowsSkeleton } from "@/ui/states";
import { lookOf, severity, StatusChip, StatusIcon } from "@/ui/status";
import { DataTable, type Column } from "@/ui/table";
import { useUrlState } from "@/ui/url";
import { ChosenActions, ContainerActions } from "./actions";

export function portsText(c: Container): string {
  const published = (c.ports ?? []).filter((p) => p.publicPort);
  return [...new Set(published.map((p) => `${p.publicPort}→${p.privatePort}${p.type === "tcp" ? "" : `/${p.type}`}`))].join(", ");
}

const status = (c: Container) => (c.state === "running" && c.health && c.health !== "none" && c.health !== "healthy" ? c.health : `container:${c.state}`);

const columns: Column<Container>[] = [
  {
    id: "name",
    header: "Name",
    primary: true,
    sort: (c) => c.name,
    cell: (c) => (
      <Box component={Link} to={`/containers/${c.id}`} onClick={(e: React.MouseEvent) => e.stopPropagation()} sx={{ color: "inherit", fontWeight: 600, textDecoration: "none", "&:hover": { color: "var(--df-accent)" } }}>
        <Middle text={c.name} max={32} />
      </Box>
    ),
  },
  {
    id: "state",
    header: "State",
    primary: true,
    width: 130,
    sort: (c) => severity(status(c)),
    cell: (c) => <StatusChip status={status(c)} live title={c.status ?? undefined} />,
  },
  { id: "image", header: "Image", sort: (c) => c.image ?? "", cell: (c) => <span className="df-mono"><Middle text={c.image ?? "unknown"} max={34} /></span> },
  {
    id: "application",
    header: "Application",
    width: 170,
    sort: (c) => c.application?.name ?? c.composeProject ?? "",
    cell: (c) =>
      c.application ? (
        <Box component={Link} to={`/applications/${c.application.id}`} onClick={(e: React.MouseEvent) => e.stopPropagation()} sx={{ color: "var(--df-accent)", textDecoration: "none", "&:hover": { textDecoration: "underline" } }}>
          <Middle text={c.application.name} max={20} />
        </Box>
      ) : (
        <Box component="span" sx={{ color: "var(--df-muted)" }}>
          {c.composeProject ?? "none"}
        </Box>
      ),
  },
  { id: "node", header: "Node", width: 110, sort: (c) => c.node.name, cell: (c) => c.node.name },
  { id: "ports", header: "Ports", width: 120, cell: (c) => (portsText(c) ? <span className="df-num">{portsText(c)}</span> : null) },
  { id: "started", header: "Started", width: 120, sort: (c) => c.startedAt ?? "", cell: (c) => <RelTime time={c.startedAt} /> },
  { id: "actions", header: "", width: 84, align: "right", cell: (c) => <ContainerActions id={c.id} name={c.name} state={c.state} /> },
];

export default function ContainersPage() {
  const { data, error, refetch } = useQuery(queries.containers());
  const [q, setQ] = useUrlState("q");
  const [state, setState] = useUrlState("state");
  const [node, setNode] = useUrlState("node");
  const navigate = useNavigate();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  useTopics(["container.status"]);
  const all = data?.items ?? [];
  const found = all.filter((c) => (!state || c.state === state) && (!node || c.node.name === node) && (!q || matches(q, c.name, c.image, c.application?.name, c.composeProject, c.id.slice(0, 12))));
  const chosenNow = found.filter((c) => chosen.has(c.id)); // never what the filter hides
  const states = [...new Set(all.map((c) => c.state))].sort((a, b) => severity(`container:${b}`) - severity(`container:${a}`));
  const nodes = [...new Set(all.map((c) => c.node.name))].sort();
  return (
    <PageBody>
      <PageHeader title="Containers" name="Containers" facts={data && <span>{plural(all.length, "container")} on {plural(nodes.length, "node")}</span>} />
      {error && !data ? (
        <ErrorState error={error} what="Containers could not be loaded" retry={() => void refetch()} />
      ) : !data ? (
        <RowsSkeleton rows={10} />
      ) : !all.length ? (
        <EmptyState icon={<ContainerIcon size={30} />} title="No container" text="No connected engine has a container. Deploy an application to see some." command="dsctl get containers" />
      ) : (
        <>
          <Box sx={{ display: "flex", gap: 1, mb: 2, flexWrap: "wrap", alignItems: "center" }}>
            <FilterField value={q} onChange={setQ} label="Filter containers" />
            <FilterChips
              label="State"
              value={state}
              onChange={setState}
              options={states.map((s) => ({
                value: s,
                count: all.filter((c) => c.state === s).length,
                label: (
                  <>
                    <StatusIcon status={`container:${s}`} size={15} /> {lookOf(`container:${s}`).word}
                  </>
                ),
              }))}
            />
            {nodes.length > 1 && <FilterChips label="Node" value={node} onChange={setNode} options={nodes.map((n) => ({ value: n, label: n, count: all.filter((c) => c.node.name === n).length }))} />}
          </Box>
          <Box sx={{ border: "1px solid var(--df-line)", borderRadius: 1, overflow: "hidden", backgroundColor: "var(--df-surface)" }}>
            {found.length ? (
              <DataTable label="Containers" columns={columns} rows={found} rowKey={(c) => c.id} kind="container" defaultSort="name" onOpen={(c) => void navigate(`/containers/${c.id}`)} chosen={chosen} onChoose={setChosen} />
            ) : (
              <EmptyState title="Nothing fits the filter" text={`None of ${plural(all.length, "container")} fits.`} />
            )}
          </Box>
          {chosenNow.length > 0 && <ChosenActions containers={chosenNow} onClear={() => setChosen(new Set())} />}
        </>
      )}
    </PageBody>
  );
}
