import { Box, Button, ToggleButton, ToggleButtonGroup, Tooltip } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import { Boxes, GitBranch, GitCommitHorizontal, LayoutGrid, Plus, Rows3, Server } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { Link, useNavigate } from "react-router";
import { activeOperation, reasonsOf, reasonText } from "@/api/text";
import type { Application } from "@/api/types";
import { queries, useCan, useChangedAt, useTopics } from "@/live/queries";
import { Middle, RelTime } from "@/ui/atoms";
import { FilterChips, FilterField, matches } from "@/ui/filter";
import { useHotkeys } from "@/ui/hotkeys";
import { PageBody, PageHeader } from "@/ui/page";
import { plural } from "@/ui/format";
import { useScope } from "@/ui/scope";
import { EmptyState, ErrorState, RowsSkeleton } from "@/ui/states";
import { lookOf, severity, StatusChip, StatusIcon } from "@/ui/status";
import { DataTable, type Column } from "@/ui/table";
import { useUrlState } from "@/ui/url";

const urgency = (a: Application) => Math.min(severity(a.health.status), a.error ? 0 : 9, severity(a.sync.status));

function why(a: Application): string {
  if (a.error) return a.error.message;
  return reasonsOf(a)[0] ?? "";
}

function Chips({ app, plain }: { app: Application; plain?: boolean }) {
  // What could not be looked at has no health and no sync worth a word.
  if (app.error && app.health.status === "Unknown") return <span><StatusChip status="error" plain={plain} title={app.error.message} /></span>;
  return (
    <Box component="span" sx={{ display: "inline-flex", gap: plain ? 1.5 : 0.75, flexWrap: "wrap" }}>
      <StatusChip of="Health" status={app.health.status} live={!!activeOperation(app)} plain={plain} title={app.health.reasons.map(reasonText).join("\n")} />
      <StatusChip of="Sync" status={app.sync.status} plain={plain} title={app.sync.reasons.map(reasonText).join("\n")} />
    </Box>
  );
}

function Commit({ app }: { app: Application }) {
  const { deployedCommit: at, desiredCommit: want } = app.sync;
  if (!at && !want) return <span>not deployed</span>;
  return (
    <span className="df-mono">
      {at ? at.slice(0, 7) : "none"}
      {want && at !== want && app.sync.status !== "Synced" && <span title="Deployed and wanted commit"> → {want.slice(0, 7)}</span>}
    </span>
  );
}

const nameLink = { color: "inherit", fontWeight: 600, textDecoration: "none", "&:hover": { color: "var(--df-accent)" } } as const;

const columns: Column<Application>[] = [
  {
    id: "name",
    header: "Name",
    primary: true,
    sort: (a) => a.name,
    cell: (a) => (
      <Box component={Link} to={`/applications/${a.id}`} sx={nameLink} onClick={(e: React.MouseEvent) => e.stopPropagation()}>
        <Middle text={a.name} max={36} />
      </Box>
    ),
  },
  { id: "health", header: "Health", primary: true, width: 140, sort: (a) => severity(a.health.status), cell: (a) => (a.error && a.health.status === "Unknown" ? <StatusChip status="error" title={a.error.message} /> : <StatusChip status={a.health.status} live={!!activeOperation(a)} />) },
  { id: "sync", header: "Sync", primary: true, width: 130, sort: (a) => severity(a.sync.status), cell: (a) => <StatusChip status={a.sync.status} /> },
  { id: "commit", header: "Commit", width: 160, cell: (a) => <Commit app={a} /> },
  { id: "repository", header: "Repository", sort: (a) => a.repository.name, cell: (a) => <span className="df-ellipsis">{`${a.repository.name} · ${a.branch}`}</span> },
  { id: "environment", header: "Environment", width: 130, sort: (a) => a.environment.name, cell: (a) => a.environment.name },
  { id: "node", header: "Node", width: 130, sort: (a) => a.node?.name ?? "", cell: (a) => a.node?.name ?? "none" },
  { id: "updated", header: "Deployed", width: 120, sort: (a) => a.lastDeployment?.finishedAt ?? "", cell: (a) => <RelTime time={a.lastDeployment?.finishedAt} /> },
];

function Tile({ app, current }: { app: Application; current: boolean }) {
  const changedAt = useChangedAt("application", app.id);
  const ref = useRef<HTMLAnchorElement>(null);
  const mounted = useRef(Date.now());
  useEffect(() => {
    if (current) ref.current?.scrollIntoView({ block: "nearest" });
  }, [current]);
  useEffect(() => {
    const el = ref.current;
    if (!el || changedAt <= mounted.current) return;
    el.classList.remove("df-flash");
    void el.offsetWidth;
    el.classList.add("df-flash");
  }, [changedAt]);
  const text = why(app);
  const operation = activeOperation(app);
  const row = { display: "flex", alignItems: "center", gap: 1, minWidth: 0 } as const;
  return (
    <Box
      ref={ref}
      component={Link}
      to={`/applications/${app.id}`}
      sx={{
        display: "flex",
        flexDirection: "column",
        gap: 1.25,
        p: 2,
        color: "inherit",
        textDecoration: "none",
        backgroundColor: "var(--df-surface)",
        border: "1px solid",
        borderColor: current ? "var(--df-accent)" : "var(--df-line)",
        borderRadius: 1,
        minWidth: 0,
        "&:hover": { borderColor: "var(--df-line-strong)", backgroundColor: "var(--df-hover)" },
      }}
    >
      <Box sx={{ ...row, justifyContent: "space-between" }}>
        <Box sx={{ fontWeight: 650, fontSize: 15, letterSpacing: "-0.006em" }} className="df-ellipsis" title={app.name}>
          {app.name}
        </Box>
        <Box component="span" sx={{ fontSize: 12, color: "var(--df-muted)", border: "1px solid var(--df-line)", borderRadius: "5px", px: 0.75, flex: "none" }}>
          {app.environment.name}
        </Box>
      </Box>
      <Chips app={app} />
      <Box sx={{ fontSize: 12.5, minHeight: 20, color: app.error ? "var(--df-bad)" : "var(--df-muted)" }} className="df-ellipsis" title={text}>
        {operation ? `${lookOf(operation.state).word}: ${operation.kind.replace(/^application\./, "")}` : text || "All as described in the repository"}
      </Box>
      <Box sx={{ borderTop: "1px solid var(--df-line)", pt: 1.25, display: "grid", gap: 0.5, fontSize: 12.5, color: "var(--df-muted)" }}>
        <Box sx={row}>
          <GitBranch size={14} />
          <span className="df-ellipsis">
            {app.repository.name} · {app.branch}
          </span>
        </Box>
        <Box sx={{ ...row, justifyContent: "space-between" }}>
          <Box sx={row}>
            <GitCommitHorizontal size={14} />
            <Commit app={app} />
          </Box>
          <RelTime time={app.lastDeployment?.finishedAt} />
        </Box>
        <Box sx={row}>
          <Server size={14} />
          <span className="df-ellipsis">{app.node?.name ?? "no node"}</span>
        </Box>
      </Box>
    </Box>
  );
}

function Tiles({ apps }: { apps: Application[] }) {
  const navigate = useNavigate();
  const [cursor, setCursor] = useState<string | null>(null);
  const at = apps.findIndex((a) => a.id === cursor);
  const step = (by: number) => {
    const next = apps[Math.max(0, Math.min(apps.length - 1, at < 0 ? 0 : at + by))];
    if (next) setCursor(next.id);
  };
  useHotkeys({
    j: () => step(1),
    k: () => step(-1),
    Enter: (event) => (cursor && document.activeElement === document.body ? void navigate(`/applications/${cursor}`) : (event.target as HTMLElement).click?.()),
  });
  return (
    <Box sx={{ display: "grid", gridTemplateColumns: "repeat(auto-fill, minmax(min(100%, 300px), 1fr))", gap: 1.5 }}>
      {apps.map((a) => (
        <Tile key={a.id} app={a} current={a.id === cursor} />
      ))}
    </Box>
  );
}

const NewButton = () => (
  <Button component={Link} to="/applications/new" variant="contained" startIcon={<Plus size={16} />}>
    New application
  </Button>
);

export default function ApplicationsPage() {
  const project = useScope((s) => s.project);
  const { data, error, refetch } = useQuery(queries.applications(project || undefined));
  const [view, setView] = useUrlState("view", "tiles");
  const [q, setQ] = useUrlState("q");
  const [health, setHealth] = useUrlState("health");
  const [sync, setSync] = useUrlState("sync");
  const navigate = useNavigate();
  const can = useCan();
  useTopics(["application.status", "application.deleted"]);

  const all = data?.items ?? [];
  const found = all
    .filter((a) => (!health || a.health.status === health) && (!sync || a.sync.status === sync))
    .filter((a) => !q || matches(q, a.name, a.repository.name, a.branch, a.environment.name, a.node?.name, a.path))
    .sort((a, b) => urgency(a) - urgency(b) || a.name.localeCompare(b.name));
  const options = (values: string[]) =>
    [...new Set(values)]
      .sort((a, b) => severity(a) - severity(b))
      .map((value) => ({
        value,
        count: values.filter((v) => v === value).length,
        label: (
          <>
            <StatusIcon status={value} size={15} />
            {lookOf(value).word}
          </>
        ),
      }));

  return (
    <PageBody>
      <PageHeader title="Applications" name="Applications" actions={can("application:create") && <NewButton />} facts={data && <span>{plural(all.length, "application")}{data.truncated && "; only the first are shown"}</span>} />
      {error && !data ? (
        <ErrorState error={error} what="Applications could not be loaded" retry={() => void refetch()} />
      ) : !data ? (
        <RowsSkeleton rows={8} />
      ) : !all.length ? (
        <EmptyState
          icon={<Boxes size={30} />}
          title="No application yet"
          text="An application ties a folder of a Git repository with a compose file to a Docker engine, and keeps the two the same."
          action={can("application:create") && <NewButton />}
          command={can("application:create") ? "dsctl create application --repository URL --path . --name shop" : undefined}
        />
      ) : (
        <>
          <Box sx={{ display: "flex", gap: 1, mb: 1, alignItems: "center" }}>
            <FilterField value={q} onChange={setQ} label="Filter applications" />
            <Box sx={{ flex: 1 }} />
            <ToggleButtonGroup exclusive size="small" value={view} onChange={(_, v: string | null) => v && setView(v)} aria-label="View">
              <ToggleButton value="tiles" aria-label="Tiles">
                <Tooltip title="Tiles">
                  <LayoutGrid size={16} />
                </Tooltip>
              </ToggleButton>
              <ToggleButton value="table" aria-label="Table">
                <Tooltip title="Table">
                  <Rows3 size={16} />
                </Tooltip>
              </ToggleButton>
            </ToggleButtonGroup>
          </Box>
          <Box sx={{ display: "flex", columnGap: 2, rowGap: 1, mb: 2, flexWrap: "wrap" }}>
            <FilterChips named label="Health" options={options(all.map((a) => a.health.status))} value={health} onChange={setHealth} />
            <FilterChips named label="Sync" options={options(all.map((a) => a.sync.status))} value={sync} onChange={setSync} />
          </Box>
          {!found.length ? (
            <EmptyState
              title="Nothing fits the filter"
              text={`None of ${plural(all.length, "application")} fits.`}
              action={
                <Button
                  variant="outlined"
                  onClick={() => void navigate("/applications", { replace: true })}
                >
                  Clear filters
                </Button>
              }
            />
          ) : view === "table" ? (
            <Box sx={{ border: "1px solid var(--df-line)", borderRadius: 1, overflow: "hidden", backgroundColor: "var(--df-surface)" }}>
              <DataTable label="Applications" columns={columns} rows={found} rowKey={(a) => a.id} kind="application" onOpen={(a) => void navigate(`/applications/${a.id}`)} />
            </Box>
          ) : (
            <Tiles apps={found} />
          )}
        </>
      )}
    </PageBody>
  );
}

