const PLAIN = /^[A-Za-z_./@][\w ./@:+-]*$/;
const WORDS = /^(?:true|false|yes|no|on|off|null|~|y|n)$/i;

function scalar(value: unknown): string {
  if (value === null || value === undefined) return "null";
  if (typeof value !== "string") return JSON.stringify(value);
  if (/^\d+(ms|s|m|h|b|k|g)$/.test(value)) return value;
  if (PLAIN.test(value) && !WORDS.test(value) && !value.endsWith(":") && !value.includes(": ") && !value.endsWith(" ")) return value;
  return JSON.stringify(value);
}

function block(value: unknown, indent: string, out: string[], lead: string): void {
  if (Array.isArray(value)) {
    if (!value.length) out.push(lead ? `${lead} []` : `${indent}[]`);
    else {
      if (lead) out.push(lead);
      for (const item of value) nested(item, out, `${indent}-`, `${indent}  `);
    }
  } else if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).filter(([, v]) => v !== undefined);
    if (!entries.length) out.push(lead ? `${lead} {}` : `${indent}{}`);
    else {
      if (lead) out.push(lead);
      for (const [key, v] of entries) nested(v, out, `${indent}${scalar(key)}:`, `${indent}  `);
    }
  } else if (typeof value === "string" && value.includes("\n")) {
    out.push(`${lead} |${value.endsWith("\n") ? "" : "-"}`);
    for (const line of value.replace(/\n$/, "").split("\n")) out.push(line ? `${indent}${line}` : "");
  } else out.push(lead ? `${lead} ${scalar(value)}` : scalar(value));
}

function nested(value: unknown, out: string[], lead: string, deeper: string): void {
  const item = lead.endsWith("-");
  if (item && typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length) {
    // The first key of a mapping in a list shares the line of its dash.
    const lines: string[] = [];
    block(value, deeper, lines, "");
    out.push(`${lead} ${(lines[0] ?? "").trimStart()}`, ...lines.slice(1));
  } else block(value, deeper, out, lead);
}

/** JSON data as readable YAML; for showing, in the order of the data. */
export function toYaml(value: unknown): string {
  const out: string[] = [];
  block(value, "", out, "");
  return out.join("\n");
}
