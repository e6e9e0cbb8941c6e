import { pointerStep } from "@/api/schema";
import type { Application, Manifest, ResourceNode } from "@/api/types";

/** Where an object is described: one place a file, the last one overrides. */
export interface Origin {
  file: string;
  line: number;
  lines: string[];
}

export interface VariableUse {
  name: string;
  /** Where its value comes from. */
  from: string;
}

export interface Provenance {
  origins: Origin[];
  variables: VariableUse[];
}

type Find = (pointer: string) => { from: number; to: number } | null;
export interface SourceFile {
  file: string;
  text: string;
  find: Find;
}

const part = (v: unknown): Record<string, unknown> => (typeof v === "object" && v !== null && !Array.isArray(v) ? (v as Record<string, unknown>) : {});
const LISTS = { network: "networks", volume: "volumes", config: "configs", secret: "secrets" } as const;

/** The place in a compose file that describes a node of the tree; null for what no file names, as the application itself. */
export function pointerOf(node: ResourceNode, manifest: Manifest): string | null {
  const service = node.parentIds.find((p) => p.startsWith("service:"))?.slice("service:".length);
  switch (node.kind) {
    case "service":
      return `/services${pointerStep(node.name)}`;
    case "container":
      return service ? `/services${pointerStep(service)}` : null;
    case "image":
      return service ? `/services${pointerStep(service)}/image` : null;
    case "network":
    case "volume":
    case "config":
    case "secret": {
      const list = part(part(manifest.rendered)[LISTS[node.kind]]);
      const key = Object.entries(list).find(([k, v]) => part(v).name === node.name || k === node.name)?.[0];
      return key === undefined ? null : `/${LISTS[node.kind]}${pointerStep(key)}`;
    }
    default:
      return null;
  }
}

// ${NAME}, ${NAME:-default}, $NAME; a doubled dollar is a plain one.
const VARIABLE = /\$\$|\$\{([A-Za-z_]\w*)(:?[-?+])?([^}]*)\}|\$([A-Za-z_]\w*)/g;

export function variablesIn(text: string, app: Application): VariableUse[] {
  const set = app.environment.variables ?? {};
  const found = new Map<string, string>();
  for (const [, braced, operator, rest, bare] of text.matchAll(VARIABLE)) {
    const name = braced ?? bare;
    if (!name || found.get(name)?.startsWith("environment")) continue;
    if (name in set) found.set(name, `environment ${app.environment.name}`);
    else found.set(name, operator?.includes("-") ? `its default, ${rest || "empty"}` : "a file beside the compose file, or empty");
  }
  return [...found].map(([name, from]) => ({ name, from }));
}

/** From which lines an object comes, and which variables are used there. */
export function provenanceOf(node: ResourceNode, manifest: Manifest, files: SourceFile[], app: Application): Provenance | null {
  const pointer = pointerOf(node, manifest);
  if (!pointer) return null;
  const origins = files.flatMap(({ file, text, find }): Origin[] => {
    const at = find(pointer);
    return at ? [{ file, line: at.from, lines: text.split("\n").slice(at.from - 1, at.to) }] : [];
  });
  if (!origins.length) return null;
  return { origins, variables: variablesIn(origins.flatMap((o) => o.lines.filter((l) => !/^\s*#/.test(l))).join("\n"), app) };
}
