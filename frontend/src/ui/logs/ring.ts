export type LineKind = "stdout" | "stderr" | "dropped" | "gap" | "end" | "error";

export interface LogLine {
  kind: LineKind;
  /** Milliseconds since 1970; null when the engine gave none. */
  time: number | null;
  text: string;
}

/**
 * A bounded run of lines. Lines have absolute numbers that never change, so views keep their places while old
 * lines fall out at the front.
 */
export class LogRing {
  private readonly slots: (LogLine | undefined)[];
  /** Number of the oldest line still held. */
  first = 0;
  /** Number after the newest line. */
  end = 0;

  constructor(readonly capacity = 100_000) {
    this.slots = new Array<LogLine | undefined>(capacity);
  }

  get size(): number {
    return this.end - this.first;
  }

  push(line: LogLine): void {
    this.slots[this.end % this.capacity] = line;
    this.end++;
    if (this.end - this.first > this.capacity) this.first = this.end - this.capacity;
  }

  at(n: number): LogLine | undefined {
    return n >= this.first && n < this.end ? this.slots[n % this.capacity] : undefined;
  }

  clear(): void {
    this.slots.fill(undefined);
    this.first = this.end;
  }
}
