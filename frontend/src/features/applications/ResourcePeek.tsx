import { Box, Button, Tab, Tabs } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import { ExternalLink } from "lucide-react";
import { useEffect, useMemo, useState } from "react";
import { Link } from "react-router";
import type { Application, ResourceNode } from "@/api/types";
import { placeText } from "@/api/text";
import { queries } from "@/live/queries";
import { Facts, Id, RelTime } from "@/ui/atoms";
import { CodeView } from "@/ui/code/CodeView";
import { toYaml } from "@/ui/code/yaml";
import { titleCase, valueText } from "@/ui/format";
import { LogViewer } from "@/ui/logs/LogViewer";
import { Peek } from "@/ui/peek";
import { StatusChip, StatusIcon } from "@/ui/status";
import { ServiceDiff } from "./DiffTab";
import { provenanceOf, type Provenance, type SourceFile } from "./provenance";

const TIME = /At$/;
const ID = /(Id|Digest|sha)$/;

function detail(key: string, value: unknown): React.ReactNode {
  if (value === null || value === undefined || value === "") return "none";
  if (typeof value === "string" && TIME.test(key)) return <RelTime time={value} />;
  if (typeof value === "string" && ID.test(key)) return <Id value={value} label={titleCase(key)} />;
  if (Array.isArray(value)) {
    return value.length
      ? value
          .map((v) => {
            const p = v as { ip?: string; publicPort?: number; privatePort?: number; type?: string };
            return typeof v === "object" && v && p.privatePort ? `${p.publicPort ? `${p.ip ? `${p.ip}:` : ""}${p.publicPort} → ` : ""}${p.privatePort}/${p.type ?? "tcp"}` : valueText(v);
          })
          .join(", ")
      : "none";
  }
  return valueText(value);
}

function ServiceChanges({ app, service }: { app: Application; service: string }) {
  const { data, error } = useQuery(queries.diff(app.id));
  if (error) return <Box sx={{ color: "var(--df-muted)" }}>The comparison is not available: {error.message}</Box>;
  const found = data?.services.find((s) => s.name === service);
  if (!data) return null;
  return found?.changes.length ? <ServiceDiff service={found} /> : <Box sx={{ color: "var(--df-muted)", fontSize: 13 }}>No difference between the repository and what runs.</Box>;
}

/** Where the looked-at object is described; undefined while that is being found out. */
function useProvenance(app: Application, node: ResourceNode): Provenance | null | undefined {
  const { data: manifest, error } = useQuery(queries.manifest(app.id));
  const [yaml, setYaml] = useState<typeof import("@/ui/forms/yaml/document") | null>(null);
  useEffect(() => void import("@/ui/forms/yaml/document").then(setYaml), []);
  return useMemo(() => {
    if (error) return null;
    if (!manifest || !yaml) return undefined;
    const files = manifest.files.flatMap((f): SourceFile[] => (f.content !== undefined ? [{ file: f.path, text: f.content, find: (pointer) => yaml.linesOf(f.content ?? "", pointer) }] : []));
    return provenanceOf(node, manifest, files, app);
  }, [manifest, error, yaml, node, app]);
}

const place = (o: { file: string; line: number }) => placeText(o) ?? o.file;

function Places({ app, from }: { app: Application; from: Provenance }) {
  return (
    <Box sx={{ display: "grid", gap: 0.25 }}>
      {from.origins.map((o) => (
        <Box key={o.file} component={Link} to={`/applications/${app.id}/manifest?file=${encodeURIComponent(o.file)}&line=${o.line}`} className="df-mono" sx={{ color: "var(--df-accent)", textDecoration: "none", "&:hover": { textDecoration: "underline" } }}>
          {place(o)}
        </Box>
      ))}
      {from.variables.map((v) => (
        <Box key={v.name} sx={{ color: "var(--df-muted)", fontSize: 12.5 }}>
          <span className="df-mono">{v.name}</span> from {v.from}
        </Box>
      ))}
    </Box>
  );
}

function Source({ from }: { from: Provenance }) {
  return (
    <Box sx={{ display: "grid", gridTemplateColumns: "minmax(0, 1fr)", gap: 1.5 }}>
      {from.origins.map((o, i) => (
        <Box key={o.file}>
          <CodeView name={place(o)} language="yaml" text={o.lines.join("\n")} first={o.line} maxHeight="calc(100dvh - 230px)" />
          {i < from.origins.length - 1 && <Box sx={{ mt: 0.5, fontSize: 12.5, color: "var(--df-muted)" }}>overridden by the next file</Box>}
        </Box>
      ))}
      {from.variables.length > 0 && <Facts rows={from.variables.map((v) => [v.name, `from ${v.from}`])} />}
    </Box>
  );
}

/** One object of the tree, looked at from the side. */
export function ResourcePeek({ app, node, all, onClose, onOpen }: { app: Application; node: ResourceNode; all: ResourceNode[]; onClose: () => void; onOpen: (id: string) => void }) {
  const [tab, setTab] = useState("summary");
  const from = useProvenance(app, node);
  const containerId = node.kind === "container" ? String(node.details?.containerId ?? node.id) : null;
  const tabs = ["summary", ...(containerId ? ["logs"] : []), ...(node.kind === "service" ? ["diff"] : []), ...(from ? ["source"] : []), "yaml"];
  const shown = tabs.includes(tab) ? tab : "summary";
  const kids = all.filter((n) => n.parentIds.includes(node.id));
  const sync = node.sync;
  return (
    <Peek
      open
      onClose={onClose}
      width={shown === "logs" ? 860 : 560}
      title={node.name}
      chips={
        <>
          {node.health && <StatusChip status={node.health.status} live />}
          {sync && <StatusChip status={sync} />}
        </>
      }
      actions={
        containerId && (
          <Button component={Link} to={`/containers/${containerId}`} startIcon={<ExternalLink size={14} />}>
            Open
          </Button>
        )
      }
    >
      <Tabs value={shown} onChange={(_, v: string) => setTab(v)} sx={{ px: 1, borderBottom: "1px solid var(--df-line)" }} aria-label="Resource">
        {tabs.map((t) => (
          <Tab key={t} value={t} label={t === "yaml" ? "YAML" : titleCase(t)} />
        ))}
      </Tabs>
      <Box sx={{ p: 2 }}>
        {shown === "summary" && (
          <Box sx={{ display: "grid", gap: 2 }}>
            {node.health?.reason && node.health.status !== "Healthy" && <Box sx={{ fontSize: 13 }}>{node.health.reason}</Box>}
            <Facts rows={[["Kind", node.kind], ...(from ? [["Described in", <Places key="p" app={app} from={from} />] as [string, React.ReactNode]] : []), ...Object.entries(node.details ?? {}).map(([k, v]): [string, React.ReactNode] => [titleCase(k), detail(k, v)])]} />
            {kids.length > 0 && (
              <Box>
                <Box sx={{ fontWeight: 600, fontSize: 13, mb: 0.5 }}>Contains</Box>
                {kids.map((k) => (
                  <Box key={k.id} component="button" type="button" onClick={() => onOpen(k.id)} sx={{ font: "inherit", fontSize: 13, color: "inherit", display: "flex", width: "100%", alignItems: "center", gap: 1, border: 0, borderTop: "1px solid var(--df-line)", background: "none", py: 0.75, cursor: "pointer", "&:hover": { color: "var(--df-accent)" } }}>
                    {k.health && <StatusIcon status={k.health.status} />}
                    <span className="df-ellipsis">{k.name}</span>
                    <Box component="span" sx={{ ml: "auto", color: "var(--df-muted)" }}>
                      {k.kind}
                    </Box>
                  </Box>
                ))}
              </Box>
            )}
          </Box>
        )}
        {shown === "logs" && containerId && <LogViewer key={containerId} containerId={containerId} name={node.name} height="calc(100dvh - 140px)" />}
        {shown === "diff" && <ServiceChanges app={app} service={node.name} />}
        {shown === "source" && from && <Source from={from} />}
        {shown === "yaml" && <CodeView name={`${node.name}.yaml`} language="yaml" text={toYaml({ kind: node.kind, name: node.name, health: node.health, sync: node.sync, ...node.details })} maxHeight="calc(100dvh - 190px)" />}
      </Box>
    </Peek>
  );
}
