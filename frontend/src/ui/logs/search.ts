import { stripAnsi } from "./ansi";
import type { LogRing } from "./ring";

export interface Query {
  text: string;
  regex: boolean;
  matchCase: boolean;
}

/** Longer lines are searched in their beginning only, so that one line can't hold up the view. */
export const SEARCH_MAX = 16_384;

export type Compiled = { re: RegExp | null; error: string | null };

export function compile(query: Query): Compiled {
  if (!query.text) return { re: null, error: null };
  const source = query.regex ? query.text : query.text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  try {
    const re = new RegExp(source, query.matchCase ? "gu" : "giu");
    return { re, error: null };
  } catch (e) {
    return { re: null, error: e instanceof Error ? e.message : String(e) };
  }
}

export function rangesOf(text: string, re: RegExp): [number, number][] {
  const found: [number, number][] = [];
  re.lastIndex = 0;
  for (const m of text.slice(0, SEARCH_MAX).matchAll(re)) {
    if (m[0] === "") continue;
    found.push([m.index, m.index + m[0].length]);
    if (found.length >= 200) break;
  }
  return found;
}

/** The numbers of matching lines, kept true while lines arrive and fall out. */
export class MatchIndex {
  hits: number[] = [];
  /** Lines before this number have been looked at. */
  scanned: number;
  private gone = 0;

  constructor(
    private readonly ring: LogRing,
    private readonly re: RegExp,
  ) {
    this.scanned = ring.first;
  }

  /** Looks at up to `budget` lines; true while some are left. */
  scan(budget: number): boolean {
    this.forget();
    let n = Math.max(this.scanned, this.ring.first);
    const stop = Math.min(this.ring.end, n + budget);
    for (; n < stop; n++) {
      const line = this.ring.at(n);
      if (!line) continue;
      this.re.lastIndex = 0;
      if (this.re.test(stripAnsi(line.text).slice(0, SEARCH_MAX))) this.hits.push(n);
    }
    this.scanned = n;
    return n < this.ring.end;
  }

  /** Drops hits that fell out of the ring. */
  private forget(): void {
    while (this.gone < this.hits.length && (this.hits[this.gone] ?? 0) < this.ring.first) this.gone++;
    if (this.gone > 1024 || this.gone === this.hits.length) {
      this.hits = this.hits.slice(this.gone);
      this.gone = 0;
    }
  }

  get count(): number {
    this.forget();
    return this.hits.length - this.gone;
  }

  nth(i: number): number | undefined {
    return this.hits[this.gone + i];
  }

  /** Position among the hits of the first one at or after line `n`; `count` when there is none. */
  indexFrom(n: number): number {
    let lo = this.gone;
    let hi = this.hits.length;
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if ((this.hits[mid] ?? 0) < n) lo = mid + 1;
      else hi = mid;
    }
    return lo - this.gone;
  }
}
