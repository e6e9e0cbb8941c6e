/** The part of JSON Schema that the server's own schemas use, checked the way the server does. */
export interface Schema {
  type?: string | string[];
  title?: string;
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  propertyNames?: Schema;
  items?: Schema;
  enum?: unknown[];
  const?: unknown;
  format?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  minProperties?: number;
  maxProperties?: number;
  uniqueItems?: boolean;
  $ref?: string;
}

/** A schema with what it refers to, by name. */
export interface SchemaSet {
  name: string;
  all: Record<string, Schema>;
}

export interface Violation {
  /** JSON pointer of the value. */
  pointer: string;
  rule: string;
  message: string;
}

const DEPTH_MAX = 64;
const FOUND_MAX = 50;

export const refName = (ref: string): string => ref.split("/").pop() ?? ref;

/** Names of the schemas a schema refers to. */
export function refsOf(schema: Schema): string[] {
  const found = new Set<string>();
  const walk = (value: unknown) => {
    if (typeof value !== "object" || value === null) return;
    for (const [key, v] of Object.entries(value)) {
      if (key === "$ref" && typeof v === "string") found.add(refName(v));
      else walk(v);
    }
  };
  walk(schema);
  return [...found];
}

export const pointerStep = (key: string | number): string => `/${String(key).replace(/~/g, "~0").replace(/\//g, "~1")}`;
export const pointerPath = (pointer: string): string[] =>
  pointer
    .split("/")
    .slice(1)
    .map((part) => part.replace(/~1/g, "/").replace(/~0/g, "~"));

const typeName = (v: unknown): string => (v === null ? "null" : Array.isArray(v) ? "array" : typeof v === "number" ? (Number.isInteger(v) ? "integer" : "number") : typeof v);
// eslint-disable-next-line no-control-regex
const CONTROL = /[\x00-\x1f\x7f]/;

const FORMATS: Record<string, { test: (s: string) => boolean; text: string }> = {
  uuid: { test: (s) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(s), text: "an id such as 0190b6f2-…" },
  name: { test: (s) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(s), text: "1 to 63 lower-case letters, digits and inner dashes" },
  // eslint-disable-next-line no-control-regex
  uri: { test: (s) => /^[A-Za-z0-9+.-]+:\/\/[^\x00-\x20\x7f\\]+$/.test(s), text: "an address such as tcp://10.0.0.5:2376" },
  email: { test: (s) => /^[^\s@]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(s), text: "an e-mail address" },
  "one-line": { test: (s) => !CONTROL.test(s), text: "one line" },
  label: { test: (s) => /^[A-Za-z0-9_./-]{0,63}$/.test(s), text: "up to 63 letters, digits and -_./" },
  "env-name": { test: (s) => /^[A-Za-z_][A-Za-z0-9_]{0,255}$/.test(s), text: "a variable name: letters, digits and _, not starting with a digit" },
  path: { test: (s) => !!s && !s.startsWith("/") && !s.endsWith("/") && !s.includes("\\") && !CONTROL.test(s) && s.split("/").every((p) => p && p !== ".." && (p !== "." || s === ".")), text: "a relative path without . and .." },
};

/** Checks a value; every violation found, in the order of the value. The server has the last word. */
export function validate(set: SchemaSet, value: unknown): Violation[] {
  const found: Violation[] = [];
  const say = (pointer: string, rule: string, message: string) => {
    if (found.length < FOUND_MAX) found.push({ pointer, rule, message });
  };
  const range = (p: string, n: number, min: number | undefined, max: number | undefined, unit: string) => {
    if (min !== undefined && n < min) say(p, "min", n === 0 && min === 1 && unit.includes("characters") ? "Must not be empty." : `At least ${min}${unit}.`);
    else if (max !== undefined && n > max) say(p, "max", `At most ${max}${unit}.`);
  };

  const checkObject = (s: Schema, v: Record<string, unknown>, p: string, depth: number) => {
    range(p, Object.keys(v).length, s.minProperties, s.maxProperties, " entries");
    for (const [key, child] of Object.entries(v)) {
      const at = p + pointerStep(key);
      if (s.propertyNames) check(s.propertyNames, key, at, depth);
      const sub = s.properties?.[key] ?? s.additionalProperties;
      // Closed unless the schema says otherwise, as the server has it.
      if (sub === undefined || sub === false) say(at, "unknown", `${key} is not a known field.`);
      else if (sub !== true) check(sub, child, at, depth);
    }
    for (const key of s.required ?? []) if (v[key] === undefined) say(p + pointerStep(key), "required", `${key} is required.`);
  };
  const checkString = (s: Schema, v: string, p: string) => {
    range(p, [...v].length, s.minLength, s.maxLength, " characters");
    const format = s.format ? FORMATS[s.format] : undefined;
    if (format && !format.test(v)) say(p, "format", `Has to be ${format.text}.`);
  };
  const checkArray = (s: Schema, v: unknown[], p: string, depth: number) => {
    range(p, v.length, s.minItems, s.maxItems, " items");
    v.forEach((item, i) => s.items && check(s.items, item, p + pointerStep(i), depth));
    if (s.uniqueItems && new Set(v.map((x) => JSON.stringify(x))).size < v.length) say(p, "uniqueItems", "The same item twice.");
  };
  const check = (s: Schema, v: unknown, p: string, depth: number): void => {
    if (depth > DEPTH_MAX) return say(p, "depth", "Nested too deeply.");
    if (s.$ref) {
      const target = set.all[refName(s.$ref)];
      if (target) check(target, v, p, depth + 1);
    }
    const types = s.type === undefined ? [] : Array.isArray(s.type) ? s.type : [s.type];
    const have = typeName(v);
    if (types.length && !types.includes(have) && !(have === "integer" && types.includes("number"))) return say(p, "type", `Has to be ${types.join(" or ")}, is ${have}.`);
    if (s.enum && !s.enum.some((e) => JSON.stringify(e) === JSON.stringify(v))) return say(p, "enum", `Has to be one of ${s.enum.join(", ")}.`);
    if (s.const !== undefined && JSON.stringify(s.const) !== JSON.stringify(v)) return say(p, "const", `Has to be ${JSON.stringify(s.const)}.`);
    if (typeof v === "string") checkString(s, v, p);
    else if (typeof v === "number") range(p, v, s.minimum, s.maximum, "");
    else if (Array.isArray(v)) checkArray(s, v, p, depth + 1);
    else if (typeof v === "object" && v !== null && (s.type || s.properties)) checkObject(s, v as Record<string, unknown>, p, depth + 1);
  };
  const top = set.all[set.name];
  if (top) check(top, value, "", 0);
  return found;
}
