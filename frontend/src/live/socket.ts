import type { LiveEvent } from "@/api/types";

export type LinkState = "connecting" | "live" | "reconnecting" | "stale" | "closed";

export interface Subscription {
  topics: string[];
  scope?: string;
  object?: string;
}

interface Entry extends Subscription {
  users: number;
}

export interface LiveSocketOptions {
  url: () => string;
  onEvent: (event: LiveEvent) => void;
  /** Events between the two numbers are lost: whoever shows data has to fetch it again. */
  onGap: (fromSeq: number, toSeq: number) => void;
  onState: (state: LinkState, since: number) => void;
  /** Runs before each new attempt after a failure; renews the session. False ends the attempts. */
  beforeRetry?: () => Promise<boolean>;
  open?: (url: string) => WebSocket;
  now?: () => number;
  random?: () => number;
}

const PROBE_AFTER_MS = 25_000;
const STALE_AFTER_MS = 40_000;
const TICK_MS = 5_000;
const MAX_SUBSCRIPTIONS = 64;
const BACKOFF_MAX_MS = 30_000;
export const CLOSE_RESTART = 1012;

/**
 * The one event connection of a browser tab. Views share subscriptions by content; after a loss it resumes from the
 * last sequence number seen, and it notices a silently dead peer by probing when nothing arrives.
 */
export class LiveSocket {
  private ws: WebSocket | null = null;
  private readonly subs = new Map<string, Entry>();
  private readonly ids = new Map<string, string>();
  private lastSeq = 0;
  private heardAt = 0;
  private failures = 0;
  private nextId = 1;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private ticker: ReturnType<typeof setInterval> | null = null;
  private probe: string | null = null;
  private wanted = false;
  private state: LinkState = "closed";
  private readonly now: () => number;
  private readonly random: () => number;

  constructor(private readonly options: LiveSocketOptions) {
    this.now = options.now ?? Date.now;
    this.random = options.random ?? Math.random;
  }

  start(): void {
    if (this.wanted) return;
    this.wanted = true;
    this.setState("connecting");
    this.connect();
    this.ticker = setInterval(() => this.tick(), TICK_MS);
  }

  stop(): void {
    this.wanted = false;
    if (this.timer) clearTimeout(this.timer);
    if (this.ticker) clearInterval(this.ticker);
    this.timer = this.ticker = null;
    this.drop();
    this.lastSeq = 0;
    this.failures = 0;
    this.setState("closed");
  }

  /** Skips the waiting time of the next attempt, for a "retry now" button or when the browser comes back online. */
  retryNow(): void {
    if (!this.wanted || this.ws) return;
    if (this.timer) clearTimeout(this.timer);
    this.connect();
  }

  /** Subscribes for as long as the returned function is not called. Equal subscriptions share one on the wire. */
  subscribe(sub: Subscription): () => void {
    const key = JSON.stringify([[...sub.topics].sort(), sub.scope ?? "", sub.object ?? ""]);
    let id = this.ids.get(key);
    if (id) {
      const entry = this.subs.get(id);
      if (entry) entry.users++;
    } else {
      if (this.subs.size >= MAX_SUBSCRIPTIONS) throw new Error("too many live subscriptions");
      id = `s${this.nextId++}`;
      this.ids.set(key, id);
      this.subs.set(id, { ...sub, users: 1 });
      this.sendSubscribe(id, false);
    }
    const used = id;
    let done = false;
    return () => {
      if (done) return;
      done = true;
      const entry = this.subs.get(used);
      if (!entry || --entry.users > 0) return;
      this.subs.delete(used);
      this.ids.delete(key);
      this.send({ type: "unsubscribe", id: used });
    };
  }

  private connect(): void {
    this.timer = null;
    const ws = (this.options.open ?? ((url) => new WebSocket(url)))(this.options.url());
    this.ws = ws;
    ws.onopen = () => {
      this.failures = 0;
      this.heardAt = this.now();
      this.probe = null;
      for (const id of this.subs.keys()) this.sendSubscribe(id, true);
      this.setState("live");
    };
    ws.onmessage = (message) => this.onMessage(String(message.data));
    ws.onclose = (event) => this.onClosed(ws, event.code);
    ws.onerror = () => {};
  }

  private onMessage(data: string): void {
    this.heardAt = this.now();
    if (this.state === "stale") this.setState("live");
    let frame: { type?: string; id?: string; seq?: number; fromSeq?: number; toSeq?: number };
    try {
      frame = JSON.parse(data) as typeof frame;
    } catch {
      return;
    }
    switch (frame.type) {
      case "event": {
        const event = frame as unknown as LiveEvent;
        if (typeof event.seq === "number" && event.seq > this.lastSeq) this.lastSeq = event.seq;
        this.options.onEvent(event);
        break;
      }
      case "subscribed":
        if (frame.id && frame.id === this.probe) {
          this.send({ type: "unsubscribe", id: frame.id });
          this.probe = null;
        } else if (typeof frame.seq === "number" && this.lastSeq === 0) this.lastSeq = frame.seq;
        break;
      case "gap":
        if (typeof frame.toSeq === "number" && frame.toSeq > this.lastSeq) this.lastSeq = frame.toSeq;
        this.options.onGap(frame.fromSeq ?? 0, frame.toSeq ?? 0);
        break;
    }
  }

  private onClosed(ws: WebSocket, code: number): void {
    if (this.ws !== ws) return;
    this.ws = null;
    if (!this.wanted) return;
    this.failures++;
    this.setState("reconnecting");
    // A restarting server gets its clients back spread over time; a lone hiccup is mended at once.
    const ceiling = Math.min(BACKOFF_MAX_MS, (code === CLOSE_RESTART ? 2_000 : 400) * 2 ** Math.min(this.failures, 7));
    this.timer = setTimeout(() => void this.retry(), 100 + this.random() * ceiling);
  }

  private async retry(): Promise<void> {
    const go = (await this.options.beforeRetry?.()) ?? true;
    if (!this.wanted || this.ws) return;
    if (go) this.connect();
    else this.stop();
  }

  private tick(): void {
    if (!this.ws || this.ws.readyState !== 1) return;
    const quiet = this.now() - this.heardAt;
    if (quiet >= STALE_AFTER_MS) {
      this.setState("stale", this.heardAt);
      const ws = this.ws;
      this.drop();
      this.ws = ws;
      this.onClosed(ws, 1006);
      this.setState("stale", this.heardAt);
    } else if (quiet >= PROBE_AFTER_MS && !this.probe) {
      this.probe = `p${this.nextId++}`;
      this.send({ type: "subscribe", id: this.probe, topics: ["notification.new"] });
    }
  }

  private drop(): void {
    const ws = this.ws;
    this.ws = null;
    if (!ws) return;
    ws.onopen = ws.onmessage = ws.onclose = null;
    ws.close();
  }

  private sendSubscribe(id: string, resume: boolean): void {
    const entry = this.subs.get(id);
    if (!entry) return;
    const { topics, scope, object } = entry;
    const lastSeq = resume && this.lastSeq > 0 ? this.lastSeq : undefined;
    this.send({ type: "subscribe", id, topics, scope, object, lastSeq });
  }

  private send(frame: object): void {
    if (this.ws?.readyState === 1) this.ws.send(JSON.stringify(frame));
  }

  private setState(state: LinkState, since = this.now()): void {
    // A stale view stays stale, with its age, until something arrives again.
    if (this.state === "stale" && state === "reconnecting") return;
    if (state === this.state && state !== "stale") return;
    this.state = state;
    this.options.onState(state, since);
  }
}
