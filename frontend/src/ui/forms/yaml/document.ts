import { Document, isCollection, isNode, LineCounter, parseDocument } from "yaml";
import { pointerPath } from "@/api/schema";

export interface Place {
  line: number;
  column: number;
}

export interface Problem extends Place {
  message: string;
  pointer?: string;
}

export interface Parsed {
  /** Undefined when the text is not YAML. */
  value: unknown;
  problems: Problem[];
  /** Where a value stands; the nearest one around it that does. */
  placeOf: (pointer: string) => Place;
}

const OPTIONS = { maxAliasCount: 50, merge: false, version: "1.2", uniqueKeys: true, prettyErrors: false } as const;

export function parseYaml(text: string): Parsed {
  const lines = new LineCounter();
  const doc = parseDocument(text, { ...OPTIONS, lineCounter: lines });
  const at = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  const problems: Problem[] = doc.errors.map((e) => ({ ...at(e.pos[0]), message: e.message.split("\n")[0] ?? e.message }));
  let value: unknown;
  if (!problems.length) {
    try {
      value = doc.toJS({ maxAliasCount: OPTIONS.maxAliasCount });
    } catch (e) {
      problems.push({ line: 1, column: 1, message: e instanceof Error ? e.message : String(e) });
    }
  }
  const placeOf = (pointer: string): Place => {
    for (let path = pointerPath(pointer); path.length; path = path.slice(0, -1)) {
      const parent = path.length > 1 ? doc.getIn(path.slice(0, -1), true) : doc.contents;
      const key = path.at(-1) ?? "";
      // The key of a pair says where it begins; items of a list have none.
      const pair = isCollection(parent) ? parent.items.find((i) => String((i as { key?: { value?: unknown } }).key?.value) === key) : undefined;
      const node = (pair as { key?: unknown } | undefined)?.key ?? doc.getIn(path, true);
      if (isNode(node) && node.range) return at(node.range[0]);
    }
    return { line: 1, column: 1 };
  };
  return { value, problems, placeOf };
}

/** The first and last line of a value with its key; null when the text does not have it. */
export function linesOf(text: string, pointer: string): { from: number; to: number } | null {
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: "silent" });
  const path = pointerPath(pointer);
  const parent = path.length > 1 ? doc.getIn(path.slice(0, -1), true) : doc.contents;
  if (!isCollection(parent)) return null;
  const pair = parent.items.find((i) => String((i as { key?: { value?: unknown } }).key?.value) === path.at(-1)) as { key?: unknown; value?: unknown } | undefined;
  if (!isNode(pair?.key) || !pair.key.range) return null;
  const end = isNode(pair.value) && pair.value.range ? pair.value.range[1] : pair.key.range[1];
  const from = lines.linePos(pair.key.range[0]).line;
  // A block ends at the beginning of the line after it.
  return { from, to: Math.max(from, lines.linePos(Math.max(0, end - 1)).line) };
}

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
const isMap = (v: unknown): v is Record<string, unknown> => typeof v === "object" && v !== null && !Array.isArray(v);

function change(doc: Document, path: string[], from: unknown, to: unknown): void {
  if (same(from, to)) return;
  if (isMap(from) && isMap(to) && Object.keys(to).length && Object.keys(from).length) {
    for (const key of Object.keys(from)) if (!(key in to)) doc.deleteIn([...path, key]);
    for (const [key, value] of Object.entries(to)) change(doc, [...path, key], from[key], value);
  } else if (path.length) doc.setIn(path, typeof to === "object" ? doc.createNode(to) : to); // a scalar keeps its comment
  else doc.contents = doc.createNode(to) as typeof doc.contents;
}

/** The text of a value. What the former text says the same stays as it is written there, with its comments. */
export function writeYaml(value: unknown, former = ""): string {
  const clean = JSON.parse(JSON.stringify(value ?? {})) as unknown;
  const doc = former.trim() ? parseDocument(former, OPTIONS) : new Document(clean, { version: "1.2" });
  if (former.trim()) {
    if (doc.errors.length || !isMap(doc.toJS())) return writeYaml(clean);
    change(doc, [], doc.toJS(), clean);
  }
  return doc.toString({ lineWidth: 0, indentSeq: true });
}
