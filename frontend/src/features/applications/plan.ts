import type { Plan, PlanOp } from "@/api/types";

export interface PlanGroup {
  /** Service name; null for what services share, such as networks and volumes. */
  service: string | null;
  ops: PlanOp[];
  destructive: number;
}

export interface GroupedPlan {
  groups: PlanGroup[];
  destructive: PlanOp[];
  /** What can't be undone once done. */
  lost: PlanOp[];
  total: number;
}

/** Operations by service in the order the plan runs them; shared objects first, destructive ones listed apart. */
export function groupPlan(plan: Plan): GroupedPlan {
  const groups = new Map<string | null, PlanGroup>();
  for (const op of plan.ops) {
    const key = op.service ?? null;
    let group = groups.get(key);
    if (!group) groups.set(key, (group = { service: key, ops: [], destructive: 0 }));
    group.ops.push(op);
    if (op.destructive) group.destructive++;
  }
  const ordered = [...groups.values()].sort((a, b) => Number(a.service !== null) - Number(b.service !== null));
  const destructive = plan.ops.filter((op) => op.destructive);
  return { groups: ordered, destructive, lost: destructive.filter((op) => !op.reversible), total: plan.ops.length };
}

/** The services a partial sync names; undefined while everything is chosen. */
export function chosenServices(grouped: GroupedPlan, off: ReadonlySet<string>): string[] | undefined {
  if (!off.size) return undefined;
  return grouped.groups.flatMap((g) => (g.service !== null && !off.has(g.service) ? [g.service] : []));
}
