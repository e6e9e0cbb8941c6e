import { describe, expect, it, vi } from "vitest";
import { ApiError, Client, fieldErrors } from "./client";

const answer = (status: number, body?: unknown) => new Response(body === undefined ? null : JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });
const refusal = (status: number, code: string, more: object = {}) => answer(status, { error: { code, message: code, details: {}, requestId: "r1", ...more }, status: "error" });

function server(handle: (url: string, init: RequestInit) => Response | Promise<Response>) {
  const fetch = vi.fn((url: RequestInfo | URL, init?: RequestInit) => Promise.resolve(handle(String(url), init ?? {})));
  const onSignedOut = vi.fn();
  return { fetch, onSignedOut, client: new Client({ fetch: fetch as unknown as typeof globalThis.fetch, onSignedOut }) };
}
const header = (call: unknown[], name: string) => ((call[1] as RequestInit).headers as Record<string, string>)[name];

describe("client", () => {
  it("refreshes an expired session once for many callers and repeats each request", async () => {
    let fresh = false;
    const { client, fetch, onSignedOut } = server((url) => {
      if (url.endsWith("/auth/refresh")) {
        fresh = true;
        return answer(200, {});
      }
      return fresh ? answer(200, { items: [], next: null }) : refusal(401, "TOKEN_EXPIRED");
    });
    await Promise.all([client.call("GET /nodes", {}), client.call("GET /tasks", {}), client.call("GET /containers", {})]);
    expect(fetch.mock.calls.filter(([url]) => String(url).endsWith("/auth/refresh"))).toHaveLength(1);
    expect(fetch).toHaveBeenCalledTimes(7);
    expect(onSignedOut).not.toHaveBeenCalled();
  });

  it("repeats a write with the same idempotency key", async () => {
    let fresh = false;
    const { client, fetch } = server((url) => {
      if (url.endsWith("/auth/refresh")) fresh = true;
      return fresh ? answer(202, { id: "t", state: "queued", kind: "x" }) : refusal(401, "TOKEN_EXPIRED");
    });
    await client.call("POST /applications/{id}/sync", { path: { id: "a/b" }, body: {} });
    const writes = fetch.mock.calls.filter(([url]) => String(url).endsWith("/sync"));
    expect(String(writes[0]?.[0])).toBe("/api/v1/applications/a%2Fb/sync");
    expect(header(writes[0]!, "Idempotency-Key")).toMatch(/^[0-9a-f]{32}$/);
    expect(header(writes[0]!, "Idempotency-Key")).toBe(header(writes[1]!, "Idempotency-Key"));
    expect(header(writes[0]!, "X-DF-CSRF")).toBe("1");
  });

  it("gives up when the refresh fails, without a loop", async () => {
    const { client, fetch, onSignedOut } = server((url) => refusal(401, url.endsWith("/auth/refresh") ? "TOKEN_REUSED" : "TOKEN_EXPIRED"));
    await expect(client.call("GET /nodes", {})).rejects.toMatchObject({ status: 401, code: "TOKEN_EXPIRED" });
    expect(fetch).toHaveBeenCalledTimes(2);
    expect(onSignedOut).toHaveBeenCalledOnce();
  });

  it("leaves a wrong password at sign-in to the form", async () => {
    const { client, fetch, onSignedOut } = server(() => refusal(401, "INVALID_CREDENTIALS"));
    await expect(client.call("POST /auth/login", { body: { username: "a", password: "b" } })).rejects.toMatchObject({ code: "INVALID_CREDENTIALS" });
    expect(fetch).toHaveBeenCalledOnce();
    expect(onSignedOut).not.toHaveBeenCalled();
  });

  it("sends versions as strong tags and drops empty query values", async () => {
    const { client, fetch } = server(() => answer(204));
    await client.call("DELETE /applications/{id}", { path: { id: "a" }, ifMatch: 7, query: { cascade: undefined } });
    expect(fetch.mock.calls[0]?.[0]).toBe("/api/v1/applications/a");
    expect(header(fetch.mock.calls[0]!, "If-Match")).toBe('"7"');
  });

  it("makes an error of an answer that is no JSON, and of no answer", async () => {
    const html = server(() => new Response("<html>", { status: 502 }));
    await expect(html.client.call("GET /info", {})).rejects.toMatchObject({ status: 502, code: "HTTP_502" });
    const gone = server(() => {
      throw new TypeError("failed");
    });
    await expect(gone.client.call("GET /info", {})).rejects.toMatchObject({ status: 0, code: "UNREACHABLE" });
  });

  it("finds field errors in both places", () => {
    expect(fieldErrors(new ApiError(422, "X", "bad", {}, "/name"))).toEqual([{ pointer: "/name", message: "bad" }]);
    expect(fieldErrors(new ApiError(422, "X", "bad", { errors: [{ field: "auth.token", message: "empty" }] }))).toEqual([{ pointer: "/auth/token", message: "empty" }]);
    expect(fieldErrors(new Error("x"))).toEqual([]);
  });
});
