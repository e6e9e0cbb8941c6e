import { render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, it, vi } from "vitest";
import type { Plan, PlanOp, ResourceNode } from "@/api/types";
import { chosenServices, groupPlan } from "./plan";
import { PlanView } from "./PlanView";
import { place, visible, withServiceHealth } from "./treeLayout";

const op = (id: string, service: string | null, more: Partial<PlanOp> = {}): PlanOp => ({ id, kind: "create", service, object: id, title: `Create ${id}`, cause: [], dependsOn: [], phase: 0, reversible: true, destructive: false, ...more });
const plan = (ops: PlanOp[]): Plan => ({ id: "p", applicationId: "a", revision: "r", project: "shop", empty: false, ops, warnings: ["mind the gap"] });

const sample = plan([
  op("pull-api", "api", { kind: "pull", cause: [{ code: "IMAGE_CHANGED", message: "the image tag changed", path: "services.api.image", from: "api:1", to: "api:2", file: "compose.yaml", line: 14 }] }),
  op("net", null, { kind: "createNetwork", title: "Create network backend" }),
  op("stop-api", "api", { kind: "stop", title: "Stop api-1", destructive: true }),
  op("drop", "web", { kind: "remove", title: "Remove web-2", destructive: true, reversible: false }),
]);

describe("plan", () => {
  it("groups by service in plan order, shared objects first", () => {
    const g = groupPlan(sample);
    expect(g.groups.map((x) => x.service)).toEqual([null, "api", "web"]);
    expect(g.groups[1]?.ops.map((o) => o.id)).toEqual(["pull-api", "stop-api"]);
    expect(g.destructive.map((o) => o.id)).toEqual(["stop-api", "drop"]);
    expect(g.lost.map((o) => o.id)).toEqual(["drop"]);
  });

  it("names services only for a partial sync", () => {
    const g = groupPlan(sample);
    expect(chosenServices(g, new Set())).toBeUndefined();
    expect(chosenServices(g, new Set(["web"]))).toEqual(["api"]);
  });

  it("shows cause, change and place, and the destructive list", async () => {
    const onToggle = vi.fn();
    render(<PlanView plan={sample} grouped={groupPlan(sample)} off={new Set()} onToggle={onToggle} />);
    const api = within(screen.getByRole("region", { name: "api" }));
    expect(api.getByText("compose.yaml:14")).toBeTruthy();
    expect(api.getByText("api:1").tagName).toBe("DEL");
    expect(api.getByText("api:2").tagName).toBe("INS");
    expect(screen.getByText(/2 operations stop or remove/)).toBeTruthy();
    expect(screen.getByText("mind the gap")).toBeTruthy();
    await userEvent.click(api.getByRole("checkbox"));
    expect(onToggle).toHaveBeenCalledWith("api");
    expect(within(screen.getByRole("region", { name: "Shared" })).queryByRole("checkbox")).toBeNull();
  });
});

describe("tree", () => {
  const node = (id: string, kind: ResourceNode["kind"], parentIds: string[], status: "Healthy" | "Degraded" | null = "Healthy"): ResourceNode => ({ id, kind, name: id, parentIds, health: status ? { status, reason: null } : undefined, details: {} });
  const nodes = [node("app", "application", []), node("api", "service", ["app"]), node("web", "service", ["app"], "Degraded"), node("api-1", "container", ["api"]), node("web-1", "container", ["web"], "Degraded"), node("net", "network", ["api", "web"])];
  const view = { layers: new Set<ResourceNode["kind"]>(), closed: new Set<string>(), hideHealthy: false };

  it("gives the same places whatever the order of the input", () => {
    const at = (list: ResourceNode[]) => Object.fromEntries(place(list, view).placed.map((p) => [p.node.id, `${p.x},${p.y}`]));
    expect(at([...nodes].reverse())).toEqual(at(nodes));
    const { placed } = place(nodes, view);
    const x = (id: string) => placed.find((p) => p.node.id === id)!.x;
    expect(x("app")).toBeLessThan(x("api"));
    expect(x("api")).toBeLessThan(x("api-1"));
  });

  it("shows layers on demand and keeps shared objects of open services", () => {
    expect(place(nodes, view).placed.some((p) => p.node.id === "net")).toBe(false);
    const folded = place(nodes, { ...view, layers: new Set(["network" as const]), closed: new Set(["api"]) });
    const ids = folded.placed.map((p) => p.node.id);
    expect(ids).toContain("net");
    expect(ids).not.toContain("api-1");
    expect(folded.placed.find((p) => p.node.id === "api")?.folded).toBe(2);
  });

  it("hides the healthy but keeps the way to what is not", () => {
    expect(visible(nodes, { ...view, hideHealthy: true }).nodes.map((n) => n.id)).toEqual(["app", "web", "web-1"]);
  });

  it("gives a service the health of its worst container, or says that there is none", () => {
    const bare = [{ ...node("api", "service", ["app"]), health: undefined }, { ...node("web", "service", ["app"]), health: undefined }, node("api-1", "container", ["api"]), node("api-2", "container", ["api"], "Degraded")];
    const of = (id: string) => withServiceHealth(bare).find((n) => n.id === id)?.health?.status;
    expect([of("api"), of("web")]).toEqual(["Degraded", "Missing"]);
  });

  it("survives a cycle", () => {
    const loop = [node("app", "application", []), node("a", "service", ["app", "b"]), node("b", "container", ["a"])];
    expect(place(loop, { ...view, closed: new Set(["a"]) }).placed.length).toBeGreaterThan(0);
  });
});
