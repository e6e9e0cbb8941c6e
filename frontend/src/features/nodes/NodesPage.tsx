import { Alert, Box, Button } from "@mui/material";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Plus, Server } from "lucide-react";
import { useState } from "react";
import { call } from "@/api/client";
import type { Node, NodeTest } from "@/api/types";
import { queries, useCan, useTopics } from "@/live/queries";
import { Facts, Id, RelTime } from "@/ui/atoms";
import { ConfirmDialog } from "@/ui/dialogs";
import { bytes, plural } from "@/ui/format";
import { PageBody, PageHeader } from "@/ui/page";
import { Peek } from "@/ui/peek";
import { EmptyState, ErrorState, RowsSkeleton } from "@/ui/states";
import { severity, StatusChip } from "@/ui/status";
import { DataTable, type Column } from "@/ui/table";
import { notifyError } from "@/ui/toasts";
import { useUrlState } from "@/ui/url";
import { AddNode } from "./AddNode";

const columns: Column<Node>[] = [
  { id: "name", header: "Name", primary: true, sort: (n) => n.name, cell: (n) => <Box component="span" sx={{ fontWeight: 600 }}>{n.name}</Box> },
  { id: "state", header: "State", primary: true, width: 150, sort: (n) => severity(n.state), cell: (n) => <StatusChip status={n.state} live title={n.stateReason ?? undefined} /> },
  { id: "url", header: "Address", cell: (n) => <span className="df-mono">{n.url}</span> },
  { id: "engine", header: "Engine", width: 170, sort: (n) => n.engine?.version ?? "", cell: (n) => (n.engine ? `${n.engine.version} (API ${n.engine.apiVersion ?? "unknown"})` : "unknown") },
  { id: "size", header: "Size", width: 150, sort: (n) => n.engine?.memory ?? 0, cell: (n) => (n.engine ? `${plural(n.engine.cpus, "CPU")}, ${bytes(n.engine.memory)}` : "unknown") },
  { id: "containers", header: "Containers", width: 130, align: "right", sort: (n) => n.containersRunning, cell: (n) => <span className="df-num">{n.containersRunning} of {n.containersTotal} run</span> },
  { id: "seen", header: "Last seen", width: 120, sort: (n) => n.lastSeenAt ?? "", cell: (n) => <RelTime time={n.lastSeenAt} /> },
];

function NodePeek({ node, onClose }: { node: Node; onClose: () => void }) {
  const can = useCan();
  const client = useQueryClient();
  const [result, setResult] = useState<NodeTest | null>(null);
  const [busy, setBusy] = useState(false);
  const [removing, setRemoving] = useState(false);
  const test = async () => {
    setBusy(true);
    try {
      setResult(await call("POST /nodes/{id}/test", { path: { id: node.id } }));
    } catch (e) {
      notifyError(`Test of ${node.name} failed`, e);
    } finally {
      setBusy(false);
    }
  };
  const e = node.engine;
  return (
    <Peek open onClose={onClose} title={node.name} chips={<StatusChip status={node.state} live />}>
      <Box sx={{ p: 2, display: "grid", gap: 2 }}>
        {node.stateReason && <Alert severity={node.state === "unreachable" ? "error" : "info"}>{node.stateReason}</Alert>}
        <Facts
          rows={[
            ["Id", <Id key="i" value={node.id} label="node id" />],
            ["Address", <span key="u" className="df-mono">{node.url}</span>],
            ["Containers", `${node.containersRunning} running of ${node.containersTotal}`],
            ["Images", String(node.images)],
            ["Last seen", <RelTime key="l" time={node.lastSeenAt} />],
            ...(e
              ? ([
                  ["Engine", e.version],
                  ["API", e.apiVersion ?? "unknown"],
                  ["System", `${e.os}/${e.arch}`],
                  ["CPUs", String(e.cpus)],
                  ["Memory", bytes(e.memory)],
                  ["Control groups", `version ${e.cgroupVersion}`],
                  ["Swarm", e.swarm ? String(e.swarm) : "inactive"],
                ] as [string, string][])
              : []),
            ...Object.entries(node.labels ?? {}).map(([k, v]): [string, string] => [k, v]),
          ]}
        />
        {result && <Alert severity={result.ok ? "success" : "error"}>{result.ok ? `Reached engine ${result.engine?.version ?? ""}.` : (result.error?.message ?? "The engine did not answer.")}</Alert>}
        <Box sx={{ display: "flex", gap: 1 }}>
          <Button variant="outlined" loading={busy} onClick={() => void test()}>
            Test connection
          </Button>
          {can("node:delete") && (
            <Button variant="outlined" color="error" onClick={() => setRemoving(true)}>
              Remove
            </Button>
          )}
        </Box>
        <ConfirmDialog
          open={removing}
          title={`Remove ${node.name}`}
          name={node.name}
          verb="Remove"
          onClose={() => setRemoving(false)}
          onConfirm={async () => {
            await call("DELETE /nodes/{id}", { path: { id: node.id }, ifMatch: node.version });
            await client.invalidateQueries({ queryKey: ["nodes"] });
            onClose();
          }}
        >
          DockFlow forgets this engine. Its {plural(node.containersTotal, "container")} stay as they are and are no longer managed.
        </ConfirmDialog>
      </Box>
    </Peek>
  );
}

export default function NodesPage() {
  const { data, error, refetch } = useQuery(queries.nodes());
  const [open, setOpen] = useUrlState("node");
  const [adding, setAdding] = useState(false);
  const can = useCan();
  useTopics(["node.status"]);
  const node = data?.items.find((n) => n.id === open);
  const online = data?.items.filter((n) => n.state === "online").length ?? 0;
  const add = can("node:create") && (
    <Button variant="contained" startIcon={<Plus size={16} />} onClick={() => setAdding(true)}>
      Add node
    </Button>
  );
  return (
    <PageBody>
      <PageHeader title="Nodes" name="Nodes" actions={add} facts={data && <span>{online} of {plural(data.items.length, "engine")} online</span>} />
      {error && !data ? (
        <ErrorState error={error} what="Nodes could not be loaded" retry={() => void refetch()} />
      ) : !data ? (
        <RowsSkeleton rows={4} />
      ) : !data.items.length ? (
        <EmptyState icon={<Server size={30} />} title={can("node:create") ? "No engine connected" : "No engine that you may see"} text="A node is a Docker engine that applications run on." action={add} command={can("node:create") ? "dsctl create node --name build1 --url tcp://10.0.0.5:2376" : undefined} />
      ) : (
        <Box sx={{ border: "1px solid var(--df-line)", borderRadius: 1, overflow: "hidden", backgroundColor: "var(--df-surface)" }}>
          <DataTable label="Nodes" columns={columns} rows={data.items} rowKey={(n) => n.id} kind="node" selected={open} defaultSort="name" onOpen={(n) => setOpen(n.id)} />
        </Box>
      )}
      {node && <NodePeek key={node.id} node={node} onClose={() => setOpen("")} />}
      {adding && <AddNode onClose={() => setAdding(false)} />}
    </PageBody>
  );
}
