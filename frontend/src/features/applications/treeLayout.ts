import { graphlib, layout } from "@dagrejs/dagre";
import type { ResourceKind, ResourceNode } from "@/api/types";
import { severity } from "@/ui/status";

export const NODE_WIDTH = 248;
export const NODE_HEIGHT = 64;
/** Trees with more nodes than this start with their services closed. */
export const COLLAPSE_ABOVE = 50;
export const LAYERS: { kind: ResourceKind; label: string }[] = [
  { kind: "image", label: "Images" },
  { kind: "network", label: "Networks" },
  { kind: "volume", label: "Volumes" },
  { kind: "config", label: "Configs" },
  { kind: "secret", label: "Secrets" },
];

export interface Placed {
  node: ResourceNode;
  x: number;
  y: number;
  /** Nodes hidden below this one. */
  folded: number;
  canFold: boolean;
}

export interface Edge {
  from: string;
  to: string;
}

export interface TreeView {
  layers: ReadonlySet<ResourceKind>;
  closed: ReadonlySet<string>;
  hideHealthy: boolean;
}

const ORDER: ResourceKind[] = ["application", "service", "container", "image", "network", "volume", "config", "secret"];
const order = (n: ResourceNode) => ORDER.indexOf(n.kind);

const shared = (kind: ResourceKind) => kind === "network" || kind === "volume" || kind === "config" || kind === "secret";
const fine = (n: ResourceNode) => !n.health || severity(n.health.status) >= 4;

/** Services have no health of their own: it is that of their worst container, or that there is none. */
export function withServiceHealth(nodes: ResourceNode[]): ResourceNode[] {
  return nodes.map((n) => {
    if (n.kind !== "service" || n.health) return n;
    const own = nodes.filter((c) => c.kind === "container" && c.parentIds.includes(n.id) && c.health);
    const worst = own.sort((a, b) => severity(a.health?.status ?? "") - severity(b.health?.status ?? ""))[0];
    const none = n.details?.replicas === 0 ? undefined : ({ status: "Missing", reason: "no container of this service exists" } as const);
    return { ...n, health: worst?.health ? { status: worst.health.status, reason: worst.health.reason ? `${worst.name}: ${worst.health.reason}` : null } : none };
  });
}

function children(nodes: ResourceNode[]): Map<string, string[]> {
  const map = new Map<string, string[]>();
  for (const n of nodes) for (const p of n.parentIds) map.set(p, [...(map.get(p) ?? []), n.id]);
  return map;
}

/** Ids under a node, each once even when the data has a cycle. */
function under(id: string, kids: Map<string, string[]>, seen = new Set<string>()): Set<string> {
  for (const k of kids.get(id) ?? []) {
    if (!seen.has(k)) {
      seen.add(k);
      under(k, kids, seen);
    }
  }
  return seen;
}

/** The nodes that are to be seen: chosen layers, without what closed nodes hide and, when asked, without the healthy. */
export function visible(nodes: ResourceNode[], view: TreeView): { nodes: ResourceNode[]; folded: Map<string, number>; kids: Map<string, string[]> } {
  const layered = nodes.filter((n) => n.kind === "application" || n.kind === "service" || n.kind === "container" || view.layers.has(n.kind));
  const kids = children(layered);
  const hidden = new Set<string>();
  const folded = new Map<string, number>();
  for (const id of view.closed) {
    const all = under(id, kids);
    folded.set(id, all.size);
    for (const h of all) {
      // A shared object stays while a parent of it outside of the closed part is shown.
      const node = layered.find((n) => n.id === h);
      const others = node?.parentIds.filter((p) => p !== id && !all.has(p) && !view.closed.has(p)) ?? [];
      if (!node || !shared(node.kind) || !others.some((p) => layered.some((n) => n.id === p))) hidden.add(h);
    }
  }
  let shown = layered.filter((n) => !hidden.has(n.id));
  if (view.hideHealthy) {
    const keep = new Set<string>();
    const byId = new Map(shown.map((n) => [n.id, n]));
    const raise = (n: ResourceNode) => {
      if (keep.has(n.id)) return;
      keep.add(n.id);
      for (const p of n.parentIds) {
        const parent = byId.get(p);
        if (parent) raise(parent);
      }
    };
    for (const n of shown) if (n.kind === "application" || (n.health && !fine(n))) raise(n);
    shown = shown.filter((n) => keep.has(n.id));
  }
  return { nodes: shown, folded, kids };
}

/**
 * Places nodes left to right. The input is put into one fixed order first, so the same set of nodes always gets the
 * same places, however the server ordered them.
 */
export function place(nodes: ResourceNode[], view: TreeView): { placed: Placed[]; edges: Edge[] } {
  const { nodes: shown, folded, kids } = visible(nodes, view);
  const sorted = [...shown].sort((a, b) => order(a) - order(b) || a.name.localeCompare(b.name) || (a.id < b.id ? -1 : 1));
  const ids = new Set(sorted.map((n) => n.id));
  const graph = new graphlib.Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 14, ranksep: 72, marginx: 16, marginy: 16 });
  graph.setDefaultEdgeLabel(() => ({}));
  const bottomUp = [...sorted].reverse(); // the layout puts what it meets first at the bottom
  for (const n of bottomUp) graph.setNode(n.id, { width: NODE_WIDTH, height: NODE_HEIGHT });
  const edges: Edge[] = [];
  for (const n of bottomUp) {
    for (const p of n.parentIds) {
      if (!ids.has(p) || p === n.id) continue;
      edges.push({ from: p, to: n.id });
      graph.setEdge(p, n.id);
    }
  }
  layout(graph);
  const placed = sorted.map((node) => {
    const at = graph.node(node.id) as { x: number; y: number };
    return { node, x: at.x - NODE_WIDTH / 2, y: at.y - NODE_HEIGHT / 2, folded: folded.get(node.id) ?? 0, canFold: node.kind === "service" && (kids.get(node.id)?.length ?? 0) > 0 };
  });
  return { placed, edges };
}
