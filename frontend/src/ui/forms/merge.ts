import { pointerStep } from "@/api/schema";

export type Model = Record<string, unknown>;

/** One value that two people changed since the common version. */
export interface Conflict {
  pointer: string;
  base: unknown;
  mine: unknown;
  theirs: unknown;
}

/** A value only one side changed. */
export interface OneSided {
  pointer: string;
  by: "mine" | "theirs";
  from: unknown;
  to: unknown;
}

export interface Merge {
  /** Where both sides differ it has the own side's value. */
  merged: Model;
  conflicts: Conflict[];
  taken: OneSided[];
}

const isMap = (v: unknown): v is Model => typeof v === "object" && v !== null && !Array.isArray(v);

/** Equal as data: the order of keys says nothing, and a missing key is an undefined one. */
export function equal(a: unknown, b: unknown): boolean {
  if (isMap(a) && isMap(b)) return [...new Set([...Object.keys(a), ...Object.keys(b)])].every((k) => equal(a[k], b[k]));
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((v, i) => equal(v, b[i]));
  return a === b;
}

/** Three-way merge, key by key down to scalars and lists. */
export function merge(base: Model, mine: Model, theirs: Model, at = ""): Merge {
  const out: Merge = { merged: {}, conflicts: [], taken: [] };
  for (const key of new Set([...Object.keys(theirs), ...Object.keys(mine), ...Object.keys(base)])) {
    const [b, m, t] = [base[key], mine[key], theirs[key]];
    const pointer = at + pointerStep(key);
    let value = m;
    if (isMap(m) && isMap(t) && !equal(m, t)) {
      const deeper = merge(isMap(b) ? b : {}, m, t, pointer);
      value = deeper.merged;
      out.conflicts.push(...deeper.conflicts);
      out.taken.push(...deeper.taken);
    } else if (!equal(m, t)) {
      if (equal(m, b)) {
        value = t;
        out.taken.push({ pointer, by: "theirs", from: b, to: t });
      } else if (equal(t, b)) out.taken.push({ pointer, by: "mine", from: b, to: m });
      else out.conflicts.push({ pointer, base: b, mine: m, theirs: t });
    }
    if (value !== undefined) out.merged[key] = value;
  }
  return out;
}

/** The model with one value changed; undefined removes it. */
export function withValue(model: Model, path: string[], value: unknown): Model {
  const [key, ...rest] = path;
  if (key === undefined) return model;
  const copy = { ...model };
  const next = rest.length ? withValue(isMap(copy[key]) ? copy[key] : {}, rest, value) : value;
  if (next === undefined) delete copy[key];
  else copy[key] = next;
  return copy;
}

/** The top-level keys of a model that differ from another; for requests that change only what was changed. */
export function changedKeys(from: Model, to: Model): Model {
  return Object.fromEntries(Object.entries(to).filter(([key, value]) => !equal(value, from[key])));
}

/** What stands in a model, as the kind a field can show. */
export const textOf = (v: unknown): string => (typeof v === "string" ? v : "");
export const partOf = (v: unknown): Model => (typeof v === "object" && v !== null && !Array.isArray(v) ? (v as Model) : {});

/** Sets a value that has a default: a key that is absent stays absent while the field says the default. */
export function put(model: Model, path: string[], value: unknown, none: boolean): Model {
  const old = path.reduce<unknown>((m, key) => partOf(m)[key], model);
  return none && old === undefined ? model : withValue(model, path, value);
}

/** The keys that people read first, first; an empty text is a missing field, not an empty one. */
export function headed(top: Record<string, string>, base: Model): Model {
  const rest = Object.entries(base).filter(([key]) => !(key in top));
  return Object.fromEntries([...Object.entries(top).filter(([, v]) => v), ...rest]);
}
