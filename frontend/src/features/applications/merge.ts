/** One field that two people changed since the common version. */
export interface Conflict {
  path: string;
  base: unknown;
  mine: unknown;
  theirs: unknown;
}

const same = (a: unknown, b: unknown) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);

/**
 * Three-way merge of flat settings: what only one side changed is taken from that side, what both changed
 * differently is a conflict and keeps the value of the own side for now.
 */
export function merge<T extends object>(base: T, mine: T, theirs: T): { merged: T; conflicts: Conflict[] } {
  const merged = { ...theirs };
  const conflicts: Conflict[] = [];
  for (const path of Object.keys(mine) as (keyof T & string)[]) {
    const [b, m, t] = [base[path], mine[path], theirs[path]];
    if (same(m, b)) continue;
    merged[path] = m;
    if (!same(t, b) && !same(t, m)) conflicts.push({ path, base: b, mine: m, theirs: t });
  }
  return { merged, conflicts };
}
