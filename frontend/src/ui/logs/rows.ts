/**
 * Places of a growing list of items with different heights, counted in rows of text. Items are added at the end and
 * removed at the front; positions are found by binary search, so 100 000 lines cost nothing to scroll.
 */
export class RowIndex {
  private items: number[] = [];
  /** Rows before item i, counted from the first item ever added. */
  private before: number[] = [];
  private head = 0;
  private total = 0;

  push(item: number, rows: number): void {
    this.items.push(item);
    this.before.push(this.total);
    this.total += rows;
  }

  /** Removes items below `first`; returns how many rows went with them. */
  dropBelow(first: number): number {
    const from = this.base();
    while (this.head < this.items.length && (this.items[this.head] ?? 0) < first) this.head++;
    const gone = this.base() - from;
    if (this.head > 4096 && this.head * 2 > this.items.length) {
      this.items = this.items.slice(this.head);
      this.before = this.before.slice(this.head);
      this.head = 0;
    }
    return gone;
  }

  private base(): number {
    return this.head < this.items.length ? (this.before[this.head] ?? 0) : this.total;
  }

  get length(): number {
    return this.items.length - this.head;
  }

  get rows(): number {
    return this.total - this.base();
  }

  item(i: number): number | undefined {
    return this.items[this.head + i];
  }

  /** First row of item i. */
  top(i: number): number {
    return (this.before[this.head + i] ?? this.total) - this.base();
  }

  /** The item that covers a row. */
  find(row: number): number {
    const wanted = row + this.base();
    let lo = this.head;
    let hi = this.items.length - 1;
    while (lo < hi) {
      const mid = (lo + hi + 1) >> 1;
      if ((this.before[mid] ?? 0) <= wanted) lo = mid;
      else hi = mid - 1;
    }
    return Math.max(0, lo - this.head);
  }

  /** Position of a line number, or of the next one present. */
  position(item: number): number {
    let lo = this.head;
    let hi = this.items.length;
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if ((this.items[mid] ?? 0) < item) lo = mid + 1;
      else hi = mid;
    }
    return lo - this.head;
  }
}

/** Columns a text takes in a fixed-width font: tabs to the next stop of 8, wide characters as two. */
export function columnsOf(text: string): number {
  let columns = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 9) columns += 8 - (columns % 8);
    else if (c >= 0xd800 && c <= 0xdbff) {
      columns += 2;
      i++;
    } else if (c < 0x1100) columns += 1;
    else columns += isWide(c) ? 2 : 1;
  }
  return columns;
}

function isWide(c: number): boolean {
  return c <= 0x115f || (c >= 0x2e80 && c <= 0xa4cf) || (c >= 0xac00 && c <= 0xd7a3) || (c >= 0xf900 && c <= 0xfaff) || (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) || (c >= 0xffe0 && c <= 0xffe6);
}

/** Tabs as spaces, so that what is drawn has the width that was counted. */
export function expandTabs(text: string): string {
  if (!text.includes("\t")) return text;
  let out = "";
  let columns = 0;
  for (const part of text.split(/(\t)/)) {
    const piece = part === "\t" ? " ".repeat(8 - (columns % 8)) : part;
    out += piece;
    columns += columnsOf(piece);
  }
  return out;
}
