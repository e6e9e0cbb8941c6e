import { refsOf, type Schema, type SchemaSet } from "./schema";

// For tests: the server's own schemas, as it serves them.
const files = import.meta.glob<Schema>("../../../conf/schemas/*.json", { eager: true, import: "default" });

export function schemaSet(name: string): SchemaSet {
  const all: Record<string, Schema> = {};
  const read = (kind: string) => {
    all[kind] = files[`../../../conf/schemas/${kind}.json`] ?? {};
    for (const next of refsOf(all[kind])) if (!all[next]) read(next);
  };
  read(name);
  return { name, all };
}
