export interface Span {
  text: string;
  /** Index of the 16 standard colours, or a CSS colour of the larger palettes. */
  fg?: number | string;
  bg?: number | string;
  bold?: boolean;
  dim?: boolean;
  italic?: boolean;
  underline?: boolean;
}

type Style = Omit<Span, "text">;

// CSI, OSC (ended by BEL or ST), other two-character escapes, and control characters that have no place in a line.
// eslint-disable-next-line no-control-regex
const ESCAPES = /\x1b\[([0-9;:]*)([ -/]*)([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\|$)|\x1b[PX^_][^\x1b]*(?:\x1b\\|$)|\x1b[@-Z\\-_a-z]?|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]/g;

export function stripAnsi(text: string): string {
  return text.includes("\x1b") || /[\x00-\x08\x0b-\x1f\x7f]/.test(text) ? text.replace(ESCAPES, "") : text;
}

/** Text with terminal colours as spans. Everything but colours and weights is dropped, above all OSC sequences. */
export function parseAnsi(text: string): Span[] {
  if (!text.includes("\x1b")) return [{ text: stripAnsi(text) }];
  const spans: Span[] = [];
  let style: Style = {};
  let at = 0;
  const add = (part: string) => {
    if (part) spans.push({ text: part, ...style });
  };
  for (const m of text.matchAll(ESCAPES)) {
    add(text.slice(at, m.index));
    at = m.index + m[0].length;
    if (m[3] === "m" && !m[2]) style = sgr(style, m[1] ?? "");
  }
  add(text.slice(at));
  return spans.length ? spans : [{ text: "" }];
}

function sgr(style: Style, params: string): Style {
  const codes = params.split(/[;:]/).map((p) => (p === "" ? 0 : Number(p)));
  let next = { ...style };
  for (let i = 0; i < codes.length; i++) {
    const c = codes[i] ?? 0;
    if (c === 0) next = {};
    else if (c === 1) next.bold = true;
    else if (c === 2) next.dim = true;
    else if (c === 3) next.italic = true;
    else if (c === 4) next.underline = true;
    else if (c === 22) next.bold = next.dim = undefined;
    else if (c === 23) next.italic = undefined;
    else if (c === 24) next.underline = undefined;
    else if (c >= 30 && c <= 37) next.fg = c - 30;
    else if (c >= 90 && c <= 97) next.fg = c - 82;
    else if (c === 39) next.fg = undefined;
    else if (c >= 40 && c <= 47) next.bg = c - 40;
    else if (c >= 100 && c <= 107) next.bg = c - 92;
    else if (c === 49) next.bg = undefined;
    else if (c === 38 || c === 48) {
      const [colour, used] = extended(codes.slice(i + 1));
      if (c === 38) next.fg = colour;
      else next.bg = colour;
      i += used;
    }
  }
  return next;
}

function extended(rest: number[]): [number | string | undefined, number] {
  const byte = (n: number | undefined) => Math.max(0, Math.min(255, Math.trunc(n ?? 0) || 0));
  if (rest[0] === 2) return [`rgb(${byte(rest[1])} ${byte(rest[2])} ${byte(rest[3])})`, 4];
  if (rest[0] !== 5) return [undefined, 1];
  const n = byte(rest[1]);
  if (n < 16) return [n, 2];
  if (n >= 232) {
    const v = 8 + (n - 232) * 10;
    return [`rgb(${v} ${v} ${v})`, 2];
  }
  const level = (v: number) => (v ? 55 + v * 40 : 0);
  const k = n - 16;
  return [`rgb(${level(Math.floor(k / 36))} ${level(Math.floor(k / 6) % 6)} ${level(k % 6)})`, 2];
}
