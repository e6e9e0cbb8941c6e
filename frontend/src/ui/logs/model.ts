import { stripAnsi } from "./ansi";
import { LogRing, type LogLine } from "./ring";
import { columnsOf, RowIndex } from "./rows";
import { compile, MatchIndex, type Query } from "./search";

const SCAN_PER_STEP = 8_000;

export interface Layout {
  wrap: boolean;
  /** Text columns that fit beside the rail and the time. */
  columns: number;
  filter: boolean;
}

/** Everything the viewer shows, without the drawing: lines, matches and their places. */
export class LogModel {
  readonly ring: LogRing;
  rows = new RowIndex();
  matches: MatchIndex | null = null;
  error: string | null = null;
  re: RegExp | null = null;
  /** Rows that fell out at the front since the view last asked. */
  private goneRows = 0;
  private placed = 0;
  private layout: Layout = { wrap: false, columns: 120, filter: false };

  constructor(capacity = 100_000) {
    this.ring = new LogRing(capacity);
  }

  add(lines: LogLine[]): void {
    for (const line of lines) this.ring.push(line);
    this.goneRows += this.rows.dropBelow(this.ring.first);
    if (this.matches) while (this.matches.scan(SCAN_PER_STEP) && lines.length > SCAN_PER_STEP);
    this.place();
  }

  takeGoneRows(): number {
    const n = this.goneRows;
    this.goneRows = 0;
    return n;
  }

  setLayout(layout: Layout): void {
    const same = layout.wrap === this.layout.wrap && layout.filter === this.layout.filter && (!layout.wrap || layout.columns === this.layout.columns);
    this.layout = layout;
    if (!same) this.replace();
  }

  setQuery(query: Query): void {
    const { re, error } = compile(query);
    this.re = re;
    this.error = error;
    this.matches = re ? new MatchIndex(this.ring, re) : null;
    if (this.layout.filter) this.replace();
  }

  /** Continues the search over lines not yet looked at; true while some are left. */
  work(): boolean {
    if (!this.matches) return false;
    const more = this.matches.scan(SCAN_PER_STEP);
    this.place();
    return more;
  }

  clear(): void {
    this.ring.clear();
    if (this.re) this.matches = new MatchIndex(this.ring, this.re);
    this.replace();
  }

  private replace(): void {
    this.rows = new RowIndex();
    this.placed = this.ring.first;
    this.goneRows = 0;
    this.place();
  }

  private place(): void {
    const from = Math.max(this.placed, this.ring.first);
    if (this.layout.filter && this.matches) {
      const m = this.matches;
      for (let i = m.indexFrom(from); i < m.count; i++) {
        const n = m.nth(i);
        if (n !== undefined) this.rows.push(n, this.height(n));
      }
      this.placed = Math.max(from, m.scanned);
    } else {
      for (let n = from; n < this.ring.end; n++) this.rows.push(n, this.height(n));
      this.placed = this.ring.end;
    }
  }

  private height(n: number): number {
    if (!this.layout.wrap) return 1;
    const text = this.ring.at(n)?.text ?? "";
    return Math.max(1, Math.ceil(columnsOf(stripAnsi(text)) / Math.max(10, this.layout.columns)));
  }

  /** The lines as text: all that are held, or those the view shows. */
  toText(times: boolean, shown = false): string {
    const out: string[] = [];
    const count = shown ? this.rows.length : this.ring.size;
    for (let i = 0; i < count; i++) {
      const n = shown ? this.rows.item(i) : this.ring.first + i;
      const line = n === undefined ? undefined : this.ring.at(n);
      if (!line) continue;
      const time = times && line.time !== null ? `${new Date(line.time).toISOString()} ` : "";
      out.push(time + (line.kind === "stdout" || line.kind === "stderr" ? stripAnsi(line.text) : `--- ${line.text} ---`));
    }
    return `${out.join("\n")}\n`;
  }
}
