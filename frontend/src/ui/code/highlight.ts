export type Language = "yaml" | "json" | "text";
export interface Token {
  text: string;
  kind: "key" | "string" | "number" | "comment" | "plain";
}

export const SYNTAX = { key: "var(--df-syn-key)", string: "var(--df-syn-string)", number: "var(--df-syn-number)", comment: "var(--df-syn-comment)", plain: undefined };

const YAML_LINE = /^(\s*(?:- )*)((?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s#:"'][^:#]*?))(:)(?=\s|$)(.*)$/;
const NUMBER = /^-?\d+(?:\.\d+)?(?:e[+-]?\d+)?$/i;
const JSON_PART = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b)|\b(true|false|null)\b/g;

function yamlValue(text: string): Token[] {
  const lead = /^\s*/.exec(text)?.[0] ?? "";
  const rest = text.slice(lead.length);
  const comment = rest.startsWith("#") ? 0 : rest.search(/\s#/);
  const value = comment >= 0 ? rest.slice(0, comment) : rest;
  const tokens: Token[] = [{ text: lead, kind: "plain" }];
  if (value) {
    const bare = value.trim();
    tokens.push({ text: value, kind: NUMBER.test(bare) || /^(true|false|null)$/.test(bare) ? "number" : "string" });
  }
  if (comment >= 0) tokens.push({ text: rest.slice(comment), kind: "comment" });
  return tokens;
}

/** Tokens of one line; enough for reading, never for parsing. */
export function highlight(line: string, language: Language): Token[] {
  if (language === "text" || line.length > 2000) return [{ text: line, kind: "plain" }];
  if (language === "yaml") {
    if (/^\s*#/.test(line)) return [{ text: line, kind: "comment" }];
    const m = YAML_LINE.exec(line);
    if (m) return [{ text: m[1] ?? "", kind: "plain" }, { text: m[2] ?? "", kind: "key" }, { text: ":", kind: "plain" }, ...yamlValue(m[4] ?? "")];
    const item = /^(\s*(?:- )+)(.*)$/.exec(line);
    if (item) return [{ text: item[1] ?? "", kind: "plain" }, ...yamlValue(item[2] ?? "")];
    return [{ text: line, kind: "string" }];
  }
  const tokens: Token[] = [];
  let at = 0;
  for (const m of line.matchAll(JSON_PART)) {
    if (m.index > at) tokens.push({ text: line.slice(at, m.index), kind: "plain" });
    if (m[1]) {
      tokens.push({ text: m[1], kind: m[2] ? "key" : "string" });
      if (m[2]) tokens.push({ text: m[2], kind: "plain" });
    } else tokens.push({ text: m[0], kind: "number" });
    at = m.index + m[0].length;
  }
  if (at < line.length) tokens.push({ text: line.slice(at), kind: "plain" });
  return tokens;
}
