import { ApiError, call } from "@/api/client";
import type { LogFrame } from "@/api/types";
import type { LogLine } from "./ring";

export type StreamState = "connecting" | "live" | "reconnecting" | "ended";

interface Options {
  containerId: string;
  tail?: number;
  onLines: (lines: LogLine[]) => void;
  onState: (state: StreamState, note?: string) => void;
  open?: (url: string) => WebSocket;
}

const BACKOFF_MS = [500, 1_000, 2_000, 5_000, 10_000];

const millis = (t: string | number | null): number | null => {
  if (t === null || t === undefined || t === "") return null;
  const n = typeof t === "number" ? t : Date.parse(t);
  return Number.isFinite(n) ? n : null;
};

/** Lines of one container from the server, resumed after a loss without repeating what was shown. */
export class LogStream {
  private ws: WebSocket | null = null;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private failures = 0;
  private opened = false;
  private closed = false;
  private lastSeq = 0;
  private lastTs: string | number | null = null;

  constructor(private readonly options: Options) {
    this.connect();
  }

  close(): void {
    this.closed = true;
    if (this.timer) clearTimeout(this.timer);
    if (this.ws) {
      this.ws.onclose = this.ws.onmessage = null;
      this.ws.close();
    }
  }

  private connect(): void {
    const { containerId, tail = 1000, open } = this.options;
    const query = new URLSearchParams({ timestamps: "true" });
    if (this.lastTs !== null) query.set("since", String(this.lastTs));
    else query.set("tail", String(tail));
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const url = `${scheme}://${location.host}/ws/v1/containers/${encodeURIComponent(containerId)}/logs?${query}`;
    this.options.onState(this.failures ? "reconnecting" : "connecting");
    const ws = (open ?? ((u) => new WebSocket(u)))(url);
    this.ws = ws;
    this.opened = false;
    ws.onopen = () => {
      this.opened = true;
      if (this.failures) this.emit({ kind: "gap", time: null, text: "connection was lost and is back" });
      this.failures = 0;
      this.options.onState("live");
    };
    ws.onmessage = (m) => this.onFrame(String(m.data));
    ws.onclose = (event) => this.onClosed(event.code);
  }

  private onClosed(code: number): void {
    this.ws = null;
    if (this.closed) return;
    if (code === 1000) {
      this.closed = true;
      this.options.onState("ended");
      return;
    }
    // A refused handshake tells the page nothing; the same log over HTTP says why, and renews the session on the way.
    if (!this.opened) void this.explain();
    const wait = BACKOFF_MS[Math.min(this.failures, BACKOFF_MS.length - 1)] ?? 10_000;
    this.failures++;
    this.options.onState("reconnecting");
    this.timer = setTimeout(() => this.connect(), wait * (0.7 + Math.random() * 0.6));
  }

  private async explain(): Promise<void> {
    try {
      await call("GET /containers/{id}/logs", { path: { id: this.options.containerId }, query: { tail: 1 } });
    } catch (e) {
      if (this.closed || !(e instanceof ApiError) || (e.status !== 403 && e.status !== 404)) return;
      this.close();
      this.emit({ kind: "error", time: null, text: e.message });
      this.options.onState("ended", e.message);
    }
  }

  private onFrame(data: string): void {
    let frame: LogFrame;
    try {
      frame = JSON.parse(data) as LogFrame;
    } catch {
      return;
    }
    switch (frame.type) {
      case "logs": {
        const lines: LogLine[] = [];
        for (const { s, t, q, l } of frame.items) {
          if (this.isNew(q, t)) lines.push({ kind: s === 2 ? "stderr" : "stdout", time: millis(t), text: l });
        }
        if (lines.length) this.options.onLines(lines);
        break;
      }
      case "log":
        if (this.isNew(frame.seq, frame.ts)) this.emit({ kind: frame.stream, time: millis(frame.ts), text: frame.line });
        break;
      case "gap":
        if (frame.dropped) {
          this.emit({ kind: "dropped", time: null, text: `${frame.dropped.toLocaleString("en")} lines dropped: this viewer was slower than the container` });
        } else {
          this.emit({ kind: "gap", time: null, text: "lines are missing here" });
        }
        break;
      case "end":
        this.closed = true;
        this.emit({ kind: "end", time: null, text: frame.reason ? `end of log: ${frame.reason}` : "end of log" });
        this.options.onState("ended", frame.reason);
        break;
      case "error": {
        const text = frame.error?.message ?? frame.message ?? "the log can't be read";
        this.closed = true;
        this.emit({ kind: "error", time: null, text });
        this.options.onState("ended", text);
        break;
      }
    }
  }

  private isNew(seq: number, ts: string | number | null): boolean {
    if (typeof seq === "number") {
      if (seq <= this.lastSeq) return false;
      this.lastSeq = seq;
    }
    if (ts) this.lastTs = ts;
    return true;
  }

  private emit(line: LogLine): void {
    this.options.onLines([line]);
  }
}
