import { Box, Button, LinearProgress, Skeleton, Tooltip } from "@mui/material";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { FileCode2, GitBranch, GitCommitHorizontal, Play, RefreshCw, Server } from "lucide-react";
import { lazy, Suspense, useEffect, type ComponentType } from "react";
import { useNavigate, useParams } from "react-router";
import { call } from "@/api/client";
import { activeOperation, reasonsOf } from "@/api/text";
import type { Application } from "@/api/types";
import { queries, useCan, useTopics } from "@/live/queries";
import { Id, RelTime } from "@/ui/atoms";
import { Fact, PageBody, PageHeader, PageTabs } from "@/ui/page";
import { ErrorState } from "@/ui/states";
import { StatusChip } from "@/ui/status";
import { useAction } from "@/ui/tasks";
import { useUrlState } from "@/ui/url";
import { ErrorBanner, OperationBanner } from "./OperationBanner";
import { SyncDialog } from "./SyncDialog";

type Tab = ComponentType<{ app: Application }>;
const TABS: { value: string; label: string; Page: Tab }[] = [
  { value: "tree", label: "Tree", Page: lazy(() => import("./TreeTab")) },
  { value: "diff", label: "Diff", Page: lazy(() => import("./DiffTab")) },
  { value: "history", label: "History", Page: lazy(() => import("./HistoryTab")) },
  { value: "logs", label: "Logs", Page: lazy(() => import("./LogsTab")) },
  { value: "events", label: "Events", Page: lazy(() => import("./EventsTab")) },
  { value: "manifest", label: "Manifest", Page: lazy(() => import("./ManifestTab")) },
  { value: "settings", label: "Settings", Page: lazy(() => import("./SettingsTab")) },
];

function Facts({ app }: { app: Application }) {
  const { deployedCommit, desiredCommit, comparedAt } = app.sync;
  return (
    <>
      <Fact icon={<GitBranch size={14} />} title={app.repository.url}>
        {[app.repository.name, app.branch].filter(Boolean).join(" · ")}
      </Fact>
      <Fact icon={<FileCode2 size={14} />} title="Folder and compose files">
        <span className="df-mono">{[app.path, ...(app.composeFiles ?? [])].filter(Boolean).join(" · ") || "compose.yaml"}</span>
      </Fact>
      <Fact icon={<GitCommitHorizontal size={14} />} title="Deployed and wanted commit">
        {deployedCommit ? <Id value={deployedCommit} label="commit" /> : "not deployed"}
        {desiredCommit && desiredCommit !== deployedCommit && app.sync.status !== "Synced" && (
          <>
            <span role="img" aria-label="wanted">→</span>
            <Id value={desiredCommit} label="wanted commit" />
          </>
        )}
      </Fact>
      <Fact icon={<Server size={14} />}>
        {app.node?.name ?? "no node"} · {app.environment.name}
      </Fact>
      <Fact>
        compared <RelTime time={comparedAt} />
      </Fact>
    </>
  );
}

function Reasons({ app }: { app: Application }) {
  const reasons = reasonsOf(app);
  if (!reasons.length || app.error) return null;
  return (
    <Box component="ul" sx={{ m: 0, mt: 1, pl: 2.25, fontSize: 13, color: "var(--df-muted)" }}>
      {reasons.slice(0, 3).map((r) => (
        <li key={r}>{r}</li>
      ))}
      {reasons.length > 3 && <li>and {reasons.length - 3} more</li>}
    </Box>
  );
}

export default function ApplicationPage() {
  const { id = "", tab = "tree" } = useParams();
  const navigate = useNavigate();
  const client = useQueryClient();
  const can = useCan();
  const { data: app, error, refetch } = useQuery(queries.application(id));
  const [dialog, setDialog] = useUrlState("sync");
  const { busy, run } = useAction();
  useTopics(["application.status", "application.deleted", "deployment.progress", "deployment.finished", "container.status"]);
  useEffect(() => {
    // Events name objects by id, so a page opened by name moves there.
    if (app && app.id !== id) void navigate(`/applications/${app.id}${tab === "tree" ? "" : `/${tab}`}`, { replace: true });
  }, [app, id, tab, navigate]);

  if (error && !app) {
    return (
      <PageBody>
        <ErrorState error={error} what="This application could not be loaded" retry={() => void refetch()} />
      </PageBody>
    );
  }
  if (!app) {
    return (
      <PageBody>
        <Skeleton width={260} height={30} />
        <Skeleton width={520} height={18} sx={{ mt: 1.5 }} />
        <Skeleton width="100%" height={420} sx={{ mt: 4 }} />
      </PageBody>
    );
  }
  const running = !!activeOperation(app);
  const refresh = () =>
    run("Refresh", async () => {
      const result = await call("POST /applications/{id}/refresh", { path: { id: app.id } });
      await client.invalidateQueries({ queryKey: ["application", app.id] });
      return result;
    });
  const { Page } = TABS.find((t) => t.value === tab) ?? TABS[0]!;
  return (
    <PageBody wide={tab === "tree"}>
      <PageHeader
        name={app.name}
        title={app.name}
        crumbs={[{ label: "Applications", to: "/applications" }]}
        chips={
          <Box aria-live="polite" sx={{ display: "flex", gap: 0.75 }}>
            <StatusChip of="Health" status={app.health.status} live={running} />
            <StatusChip of="Sync" status={app.sync.status} />
          </Box>
        }
        facts={<Facts app={app} />}
        actions={
          <>
            {can("application:sync") && (
              <Tooltip title="Compare with the repository and the engine again">
                <span>
                  <Button variant="outlined" startIcon={<RefreshCw size={15} />} loading={busy !== null} onClick={() => void refresh()}>
                    Refresh
                  </Button>
                </span>
              </Tooltip>
            )}
            {can("application:sync") && (
              <Button variant="contained" startIcon={<Play size={15} />} disabled={running} onClick={() => setDialog("open")}>
                {running ? "Running" : "Sync"}
              </Button>
            )}
          </>
        }
        tabs={<PageTabs label="Application" value={TABS.some((t) => t.value === tab) ? tab : "tree"} tabs={TABS.map((t) => ({ value: t.value, label: t.label, to: `/applications/${app.id}${t.value === "tree" ? "" : `/${t.value}`}` }))} />}
      />
      <ErrorBanner app={app} />
      <OperationBanner app={app} />
      {tab === "tree" && <Reasons app={app} />}
      <Suspense fallback={<LinearProgress aria-label="Loading" sx={{ height: 2 }} />}>
        <Box sx={{ mt: tab === "tree" ? 1.5 : 0 }}>
          <Page app={app} />
        </Box>
      </Suspense>
      {dialog && <SyncDialog app={app} onClose={() => setDialog("")} />}
    </PageBody>
  );
}

