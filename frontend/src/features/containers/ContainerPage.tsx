import { Box } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import { Box as BoxIcon, Server } from "lucide-react";
import { useParams } from "react-router";
import { queries, useTopics } from "@/live/queries";
import { Card, Facts, Id, RelTime } from "@/ui/atoms";
import { CodeView } from "@/ui/code/CodeView";
import { Hidden, isHidden } from "@/ui/hidden";
import { LogViewer } from "@/ui/logs/LogViewer";
import { Fact, PageBody, PageHeader, PageTabs } from "@/ui/page";
import { ErrorState, RowsSkeleton } from "@/ui/states";
import { StatusChip } from "@/ui/status";
import { ContainerActions } from "./actions";

interface Inspect {
  Id?: string;
  Name?: string;
  Created?: string;
  Image?: string;
  RestartCount?: number;
  State?: { Status?: string; StartedAt?: string; FinishedAt?: string; ExitCode?: number; Health?: { Status?: string } };
  Config?: { Image?: string; Cmd?: string[] | null; Entrypoint?: string[] | null; Env?: string[] | null; User?: string; WorkingDir?: string; Labels?: Record<string, string> | null };
  HostConfig?: { RestartPolicy?: { Name?: string }; NetworkMode?: string };
  Mounts?: { Type?: string; Name?: string; Source?: string; Destination?: string; RW?: boolean }[] | null;
  NetworkSettings?: { Networks?: Record<string, { IPAddress?: string }> | null };
}

const none = <Box component="span" sx={{ color: "var(--df-muted)" }}>none</Box>;
const mono = (text: string) => <span className="df-mono">{text}</span>;

const column = { display: "grid", gridTemplateColumns: "minmax(0, 1fr)", gap: 2 } as const;

function Summary({ data }: { data: Inspect }) {
  const { Config: c, State: s, HostConfig: h } = data;
  const networks = Object.entries(data.NetworkSettings?.Networks ?? {});
  return (
    <Box sx={{ display: "grid", gridTemplateColumns: { xs: "1fr", lg: "1fr 1fr" }, gap: 2, alignItems: "start" }}>
      <Box sx={column}>
      <Card title="Container">
        <Facts
          rows={[
            ["Command", c?.Cmd?.length || c?.Entrypoint?.length ? mono([...(c.Entrypoint ?? []), ...(c.Cmd ?? [])].join(" ")) : none],
            ["User", c?.User || "as the image says"],
            ["Working folder", c?.WorkingDir ? mono(c.WorkingDir) : none],
            ["Restart policy", h?.RestartPolicy?.Name || "no"],
            ["Restarts", String(data.RestartCount ?? 0)],
            ["Exit code", s?.Status === "exited" ? String(s.ExitCode ?? "unknown") : "still running"],
            ["Created", <RelTime key="c" time={data.Created} />],
          ]}
        />
      </Card>
      <Card title="Environment">{c?.Env?.length ? <Facts width={200} rows={c.Env.map((e) => [e.split("=")[0] ?? e, isHidden(e.slice(e.indexOf("=") + 1)) ? <Hidden key={e} /> : mono(e.slice(e.indexOf("=") + 1))])} /> : none}</Card>
      </Box>
      <Box sx={column}>
      <Card title="Networks and mounts">
        <Facts
          rows={[
            ...networks.map(([name, n]): [string, React.ReactNode] => [name, n.IPAddress ? mono(n.IPAddress) : none]),
            ...(data.Mounts ?? []).map((m): [string, React.ReactNode] => [m.Type ?? "mount", mono(`${m.Name || m.Source || ""} → ${m.Destination ?? ""}${m.RW === false ? " (read only)" : ""}`)]),
          ]}
        />
        {!networks.length && !data.Mounts?.length && none}
      </Card>
      <Card title="Labels">{Object.keys(c?.Labels ?? {}).length ? <Facts width={260} rows={Object.entries(c?.Labels ?? {}).map(([k, v]) => [k, mono(v)])} /> : none}</Card>
      </Box>
    </Box>
  );
}

export default function ContainerPage() {
  const { id = "", tab = "logs" } = useParams();
  const { data: raw, error, refetch } = useQuery(queries.container(id));
  const { data: list } = useQuery(queries.containers());
  useTopics(["container.status"]);
  const data = raw as Inspect | undefined;
  const listed = list?.items.find((c) => c.id === id || c.id.startsWith(id));
  if (error && !data) {
    return (
      <PageBody>
        <ErrorState error={error} what="This container could not be loaded" retry={() => void refetch()} />
      </PageBody>
    );
  }
  if (!data) {
    return (
      <PageBody>
        <RowsSkeleton rows={8} />
      </PageBody>
    );
  }
  const name = listed?.name ?? data.Name?.replace(/^\//, "") ?? id.slice(0, 12);
  const state = listed?.state ?? data.State?.Status ?? "unknown";
  const health = listed?.health ?? data.State?.Health?.Status;
  const to = (t: string) => `/containers/${id}${t === "logs" ? "" : `/${t}`}`;
  return (
    <PageBody>
      <PageHeader
        name={name}
        title={name}
        crumbs={[{ label: "Containers", to: "/containers" }, ...(listed?.application ? [{ label: listed.application.name, to: `/applications/${listed.application.id}` }] : [])]}
        chips={
          <>
            <StatusChip status={`container:${state}`} live />
            {health && health !== "none" && <StatusChip status={health} live />}
          </>
        }
        facts={
          <>
            <Fact icon={<BoxIcon size={14} />}>
              <span className="df-mono">{listed?.image ?? data.Config?.Image}</span>
            </Fact>
            {listed && <Fact icon={<Server size={14} />}>{listed.node.name}</Fact>}
            <Fact>
              <Id value={id} label="container id" />
            </Fact>
            <Fact>
              started <RelTime time={listed?.startedAt ?? data.State?.StartedAt} />
            </Fact>
          </>
        }
        actions={<ContainerActions id={id} name={name} state={state} labelled />}
        tabs={
          <PageTabs
            label="Container"
            value={["logs", "inspect", "raw"].includes(tab) ? tab : "logs"}
            tabs={[
              { value: "logs", label: "Logs", to: to("logs") },
              { value: "inspect", label: "Inspect", to: to("inspect") },
              { value: "raw", label: "JSON", to: to("raw") },
            ]}
          />
        }
      />
      {tab === "inspect" ? <Summary data={data} /> : tab === "raw" ? <CodeView name={`${name}.json`} language="json" text={JSON.stringify(raw, null, 2)} maxHeight="calc(100dvh - 280px)" /> : <LogViewer key={id} containerId={id} name={name} height="max(380px, calc(100dvh - 250px))" />}
    </PageBody>
  );
}
