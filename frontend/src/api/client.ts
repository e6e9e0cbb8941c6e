import type { Args, Result, RouteKey } from "./routes";
import type { ErrorBody, Page } from "./types";

export const API = "/api/v1";
const TIMEOUT_MS = 30_000;

/** A refused or failed call. `status` 0 means that no answer came at all. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: Record<string, unknown> = {},
    readonly field?: string,
    readonly requestId?: string,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

export interface FieldError {
  pointer: string;
  message: string;
}

/** Errors of single fields by JSON pointer, whichever of the two documented places carries them. */
export function fieldErrors(error: unknown): FieldError[] {
  if (!(error instanceof ApiError)) return [];
  const found: FieldError[] = [];
  const many = error.details.errors ?? error.details.fields;
  if (Array.isArray(many)) {
    for (const raw of many as Record<string, unknown>[]) {
      const pointer = raw.field ?? raw.pointer ?? raw.path;
      if (typeof pointer === "string") found.push({ pointer: asPointer(pointer), message: String(raw.message ?? error.message) });
    }
  }
  if (error.field && !found.length) found.push({ pointer: asPointer(error.field), message: error.message });
  return found;
}

function asPointer(path: string): string {
  return path.startsWith("/") ? path : `/${path.replace(/\./g, "/")}`;
}

type Fetch = typeof fetch;
export interface ClientOptions {
  fetch?: Fetch;
  /** Called once when the session is over and a refresh did not bring it back. */
  onSignedOut?: () => void;
}

interface RawArgs {
  path?: Record<string, string>;
  query?: Record<string, unknown>;
  body?: unknown;
  ifMatch?: number;
  signal?: AbortSignal;
}

export class Client {
  private refreshing: Promise<boolean> | null = null;
  private readonly fetch: Fetch;
  onSignedOut: () => void;

  constructor(options: ClientOptions = {}) {
    this.fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.onSignedOut = options.onSignedOut ?? (() => {});
  }

  /** One call of the contract. Refreshes an expired session once and repeats the same request. */
  async call<K extends RouteKey>(route: K, args: Args<K> & { signal?: AbortSignal }): Promise<Result<K>> {
    const [method, template] = route.split(" ") as [string, string];
    const raw = args as RawArgs;
    const url = API + fillPath(template, raw.path) + queryString(raw.query);
    // The key stays the same over the repeat, so a write that did arrive is not done twice.
    const key = method === "POST" && !template.startsWith("/auth/") ? randomKey() : null;
    let response = await this.send(method, url, raw, key);
    if (response.status === 401 && !template.startsWith("/auth/login") && template !== "/auth/refresh") {
      const error = await toError(response.clone());
      if (error.code === "TOKEN_EXPIRED" && (await this.refresh())) response = await this.send(method, url, raw, key);
    }
    if (!response.ok) {
      const error = await toError(response);
      if (error.status === 401 && !template.startsWith("/auth/log") && template !== "/auth/change-password") this.onSignedOut();
      throw error;
    }
    if (response.status === 204 || response.headers.get("content-length") === "0") return undefined as Result<K>;
    const text = await response.text();
    const json = response.headers.get("content-type")?.includes("json") ?? true;
    return (text ? (json ? JSON.parse(text) : text) : undefined) as Result<K>;
  }

  /** Renews the session cookies; callers that arrive meanwhile share the one request. */
  refresh(): Promise<boolean> {
    this.refreshing ??= this.send("POST", `${API}/auth/refresh`, {}, null)
      .then((r) => r.ok)
      .catch(() => false)
      .finally(() => {
        this.refreshing = null;
      });
    return this.refreshing;
  }

  private async send(method: string, url: string, args: RawArgs, key: string | null): Promise<Response> {
    const headers: Record<string, string> = { Accept: url.includes("/logs?") ? "text/plain, application/json" : "application/json" };
    if (method !== "GET") headers["X-DF-CSRF"] = "1";
    if (args.body !== undefined) headers["Content-Type"] = "application/json";
    if (args.ifMatch !== undefined) headers["If-Match"] = `"${args.ifMatch}"`;
    if (key) headers["Idempotency-Key"] = key;
    const timeout = AbortSignal.timeout(TIMEOUT_MS);
    const init: RequestInit = {
      method,
      headers,
      credentials: "same-origin",
      signal: args.signal ? AbortSignal.any([args.signal, timeout]) : timeout,
    };
    if (args.body !== undefined) init.body = JSON.stringify(args.body);
    try {
      return await this.fetch(url, init);
    } catch (cause) {
      if (args.signal?.aborted) throw cause;
      const late = timeout.aborted;
      throw new ApiError(
        0,
        late ? "TIMEOUT" : "UNREACHABLE",
        late ? `The server did not answer within ${TIMEOUT_MS / 1000} s.` : "The server can't be reached.",
      );
    }
  }
}

async function toError(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => "");
  try {
    const { error } = JSON.parse(text) as ErrorBody;
    const id = error.requestId ?? response.headers.get("x-request-id") ?? undefined;
    return new ApiError(response.status, error.code, error.message, error.details ?? {}, error.field, id);
  } catch {
    const id = response.headers.get("x-request-id") ?? undefined;
    return new ApiError(response.status, `HTTP_${response.status}`, `The server answered ${response.status}.`, {}, undefined, id);
  }
}

function fillPath(template: string, path: Record<string, string> = {}): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(path[name] ?? ""));
}

function queryString(query: Record<string, unknown> = {}): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") params.set(name, String(value));
  }
  const text = params.toString();
  return text ? `?${text}` : "";
}

/** crypto.randomUUID is missing on plain-http origins other than localhost. */
export function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

export const client = new Client();
export const call: Client["call"] = (route, args) => client.call(route, args);

type ListKey = { [K in RouteKey]: Result<K> extends Page<unknown> ? K : never }[RouteKey];
type Item<K extends ListKey> = Result<K> extends Page<infer I> ? I : never;

export interface Listing<T> {
  items: T[];
  /** More exists on the server than was fetched. */
  truncated: boolean;
}

/** Follows the cursor of a list up to `pages` pages of 200. */
export async function listAll<K extends ListKey>(
  route: K,
  args: Args<K> & { signal?: AbortSignal },
  pages = 5,
): Promise<Listing<Item<K>>> {
  const items: Item<K>[] = [];
  let cursor: string | undefined;
  for (let i = 0; i < pages; i++) {
    const query = { ...(args as RawArgs).query, limit: 200, cursor };
    const page = (await call(route, { ...args, query } as Args<K> & { signal?: AbortSignal })) as Page<Item<K>>;
    items.push(...page.items);
    if (!page.next) return { items, truncated: false };
    cursor = page.next;
  }
  return { items, truncated: true };
}

/** The id of the task that an action became; null when it is done already. */
export function taskIdOf(value: unknown): string | null {
  const id = (value as { taskId?: unknown } | null | undefined)?.taskId;
  return typeof id === "string" && id ? id : null;
}
