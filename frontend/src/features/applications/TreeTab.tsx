import { Box, Button, useMediaQuery } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import { Background, Controls, Handle, MiniMap, Position, ReactFlow, ReactFlowProvider, useReactFlow, type Edge, type Node, type NodeProps } from "@xyflow/react";
import "@xyflow/react/dist/base.css";
import { Box as BoxIcon, Boxes, ChevronRight, Container, FileCog, HardDrive, KeyRound, Layers, Network, Search } from "lucide-react";
import { useEffect, useMemo, useState, type ReactNode } from "react";
import type { Application, ResourceKind, ResourceNode } from "@/api/types";
import { activeOperation, reasonsOf } from "@/api/text";
import { queries } from "@/live/queries";
import { FilterChips, FilterField, matches } from "@/ui/filter";
import { middle, plural } from "@/ui/format";
import { EmptyState, ErrorState, RowsSkeleton } from "@/ui/states";
import { lookOf, StatusChip } from "@/ui/status";
import { useUrlState } from "@/ui/url";
import { ResourcePeek } from "./ResourcePeek";
import "./tree.css";
import { COLLAPSE_ABOVE, LAYERS, NODE_HEIGHT, NODE_WIDTH, place, withServiceHealth, type Placed } from "./treeLayout";

const ICONS: Record<ResourceKind, ReactNode> = {
  application: <Boxes size={18} />,
  service: <Layers size={18} />,
  container: <Container size={18} />,
  image: <BoxIcon size={18} />,
  network: <Network size={18} />,
  volume: <HardDrive size={18} />,
  config: <FileCog size={18} />,
  secret: <KeyRound size={18} />,
};

type Data = { placed: Placed; chosen: boolean; faded: boolean; onFold: (id: string) => void };
type TreeNode = Node<Data, "resource">;

/** Kind, and the one detail that tells objects of this kind apart. */
function subtitle(n: ResourceNode): string {
  const d = n.details ?? {};
  const text = n.kind === "container" ? d.image : n.kind === "image" ? d.imageDigest : (d.driver ?? d.image);
  return typeof text === "string" && text ? middle(text.replace(/^sha256:/, ""), 22) : n.kind;
}

function ResourceCard({ data }: NodeProps<TreeNode>) {
  const { placed, chosen, faded, onFold } = data;
  const { node, folded, canFold } = placed;
  const tone = node.health ? lookOf(node.health.status).tone : "idle";
  return (
    <div className={`df-node${chosen ? " chosen" : ""}${faded ? " faded" : ""}`} title={node.health?.reason ?? node.name}>
      <Handle type="target" position={Position.Left} />
      <div className="df-node-bar" style={{ background: node.health ? `var(--df-${tone})` : "transparent" }} />
      <div className="df-node-kind">{ICONS[node.kind]}</div>
      <div className="df-node-body">
        <div className="df-node-name df-ellipsis">{middle(node.name, 26)}</div>
        <div className="df-node-line">
          {node.health && <StatusChip status={node.health.status} plain live />}
          <span className="df-ellipsis">{subtitle(node)}</span>
        </div>
      </div>
      {canFold && (
        <button
          type="button"
          className="df-node-fold nodrag nopan"
          aria-label={folded ? `Show ${folded} under ${node.name}` : `Hide what is under ${node.name}`}
          onClick={(e) => {
            e.stopPropagation();
            onFold(node.id);
          }}
        >
          {folded ? `+${folded}` : "–"}
        </button>
      )}
      <Handle type="source" position={Position.Right} />
    </div>
  );
}

const nodeTypes = { resource: ResourceCard };
// Never so small that names can't be read: a tall tree is moved rather than shrunk.
const FIT = { padding: 0.08, minZoom: 0.7, maxZoom: 1 };

/** Phones get the same tree as an indented list. */
function Outline({ placed, onOpen }: { placed: Placed[]; onOpen: (id: string) => void }) {
  const depth: Record<string, number> = { application: 0, service: 1, container: 2 };
  const rows: Placed[] = [];
  const seen = new Set<string>();
  const walk = (p: Placed) => {
    if (seen.has(p.node.id)) return;
    seen.add(p.node.id);
    rows.push(p);
    for (const c of placed) if (c.node.parentIds.includes(p.node.id)) walk(c);
  };
  placed.forEach(walk);
  return (
    <Box component="ul" aria-label="Resources" sx={{ m: 0, p: 0, listStyle: "none", border: "1px solid var(--df-line)", borderRadius: 1, backgroundColor: "var(--df-surface)", overflow: "hidden" }}>
      {rows.map(({ node }) => (
        <Box component="li" key={node.id} sx={{ borderBottom: "1px solid var(--df-line)", "&:last-child": { borderBottom: 0 } }}>
          <Box component="button" type="button" onClick={() => onOpen(node.id)} sx={{ font: "inherit", color: "inherit", width: "100%", border: 0, background: "none", display: "flex", alignItems: "center", gap: 1.25, minHeight: 52, pr: 1.5, pl: 1.5 + 2 * (depth[node.kind] ?? 3), textAlign: "left", cursor: "pointer" }}>
            <Box sx={{ color: "var(--df-muted)", display: "flex" }}>{ICONS[node.kind]}</Box>
            <Box sx={{ minWidth: 0, flex: 1 }}>
              <Box sx={{ fontWeight: 550, fontSize: 13.5 }} className="df-ellipsis">
                {node.name}
              </Box>
              <Box sx={{ fontSize: 12, color: "var(--df-muted)" }} className="df-ellipsis">
                {subtitle(node)}
              </Box>
            </Box>
            {node.health && <StatusChip status={node.health.status} />}
            <ChevronRight size={15} />
          </Box>
        </Box>
      ))}
    </Box>
  );
}

function Graph({ placed, edges, chosen, found, onOpen, onFold }: { placed: Placed[]; edges: { from: string; to: string }[]; chosen: string; found: (n: ResourceNode) => boolean; onOpen: (id: string) => void; onFold: (id: string) => void }) {
  const flow = useReactFlow();
  const shape = placed.map((p) => p.node.id).join("|");
  useEffect(() => {
    const t = setTimeout(() => void flow.fitView({ ...FIT, duration: 140 }), 30);
    return () => clearTimeout(t);
  }, [flow, shape]);
  const nodes: TreeNode[] = placed.map((p) => ({
    id: p.node.id,
    type: "resource",
    position: { x: p.x, y: p.y },
    width: NODE_WIDTH,
    height: NODE_HEIGHT,
    ariaLabel: `${p.node.kind} ${p.node.name}${p.node.health ? `, ${lookOf(p.node.health.status).word}` : ""}`,
    data: { placed: p, chosen: p.node.id === chosen, faded: !found(p.node), onFold },
  }));
  const lines: Edge[] = edges.map((e) => ({ id: `${e.from}>${e.to}`, source: e.from, target: e.to, type: "smoothstep", focusable: false }));
  return (
    <ReactFlow
      className="df-flow"
      nodes={nodes}
      edges={lines}
      nodeTypes={nodeTypes}
      nodesDraggable={false}
      nodesConnectable={false}
      edgesFocusable={false}
      elementsSelectable
      onNodeClick={(_, n) => onOpen(n.id)}
      minZoom={0.15}
      maxZoom={1.6}
      fitView
      fitViewOptions={FIT}
      onKeyDown={(e) => {
        const id = (e.target as HTMLElement).closest?.("[data-id]")?.getAttribute("data-id");
        if (e.key === "Enter" && id) onOpen(id);
      }}
      proOptions={{ hideAttribution: true }}
    >
      <Background gap={20} size={1} color="var(--df-line)" />
      <Controls showInteractive={false} />
      {placed.length > 12 && <MiniMap style={{ width: 150, height: 110 }} pannable zoomable ariaLabel="Overview of the tree" nodeColor={(n) => `var(--df-${lookOf((n.data as Data).placed.node.health?.status ?? "Unknown").tone})`} nodeBorderRadius={12} />}
    </ReactFlow>
  );
}

export default function TreeTab({ app }: { app: Application }) {
  const phone = useMediaQuery("(max-width:700px)");
  const { data, error, refetch } = useQuery(queries.resources(app.id));
  const [layerText, setLayerText] = useUrlState("layers", "");
  const [q, setQ] = useUrlState("find");
  const [healthy, setHealthy] = useUrlState("hide");
  const [chosen, setChosen] = useUrlState("resource");
  const [closed, setClosed] = useState<ReadonlySet<string> | null>(null);
  const all = useMemo(() => withServiceHealth(data?.nodes ?? []), [data]);
  const layers = useMemo(() => new Set(layerText.split(",").filter(Boolean) as ResourceKind[]), [layerText]);
  const folds = useMemo(() => closed ?? new Set(all.length > COLLAPSE_ABOVE ? all.filter((n) => n.kind === "service").map((n) => n.id) : []), [closed, all]);
  const { placed, edges } = useMemo(() => place(all, { layers, closed: folds, hideHealthy: healthy === "healthy" }), [all, layers, folds, healthy]);
  if (error && !data) return <ErrorState error={error} what="The tree could not be loaded" retry={() => void refetch()} />;
  if (!data) return <RowsSkeleton rows={7} height={56} />;

  const toggleLayer = (kind: string) => {
    const next = new Set<string>(layers);
    if (!next.delete(kind)) next.add(kind);
    setLayerText([...next].join(","));
  };
  const fold = (id: string) => {
    const next = new Set(folds);
    if (!next.delete(id)) next.add(id);
    setClosed(next);
  };
  const found = (n: ResourceNode) => !q || matches(q, n.name, n.kind, String(n.details?.image ?? ""));
  // The reasons above take their lines from the canvas, so that the page does not scroll.
  const reasons = app.error ? 3.4 : Math.min(4, reasonsOf(app).length);
  const top = 300 + Math.ceil(reasons * 20) + (activeOperation(app) ? 120 : 0);
  const peeked = all.find((n) => n.id === chosen);
  return (
    <>
      <Box sx={{ display: "flex", gap: 1, mb: 1.5, flexWrap: "wrap", alignItems: "center" }}>
        <FilterField value={q} onChange={setQ} label="Find in the tree" />
        <Box role="group" aria-label="Layers" sx={{ display: "flex", gap: 0.75, flexWrap: "wrap" }}>
          {LAYERS.map((l) => ({ ...l, count: all.filter((n) => n.kind === l.kind).length }))
            .filter((l) => l.count)
            .map((l) => (
              <FilterChips key={l.kind} label={l.label} options={[{ value: l.kind, label: l.label, count: l.count }]} value={layers.has(l.kind) ? l.kind : ""} onChange={() => toggleLayer(l.kind)} />
            ))}
        </Box>
        <Box sx={{ flex: 1 }} />
        <Button variant="outlined" aria-pressed={healthy === "healthy"} onClick={() => setHealthy(healthy ? "" : "healthy")}>
          {healthy ? "Show healthy" : "Hide healthy"}
        </Button>
      </Box>
      {all.every((n) => n.kind === "application") ? (
        <EmptyState icon={<Search size={26} />} title="Nothing exists yet" text="After the first sync the services, containers, networks and volumes of this application appear here." command={`dsctl sync ${app.name}`} />
      ) : phone ? (
        <Outline placed={placed.filter((p) => found(p.node))} onOpen={setChosen} />
      ) : (
        <Box sx={{ height: `max(420px, calc(100dvh - ${top}px))`, border: "1px solid var(--df-line)", borderRadius: 1, overflow: "hidden" }} role="region" aria-label={`Tree of ${plural(placed.length, "resource")}`}>
          <ReactFlowProvider>
            <Graph placed={placed} edges={edges} chosen={chosen} found={found} onOpen={setChosen} onFold={fold} />
          </ReactFlowProvider>
        </Box>
      )}
      {peeked && <ResourcePeek app={app} node={peeked} all={all} onClose={() => setChosen("")} onOpen={setChosen} />}
    </>
  );
}
