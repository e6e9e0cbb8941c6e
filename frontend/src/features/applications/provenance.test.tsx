import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { fireEvent, render, screen } from "@testing-library/react";
import { MemoryRouter } from "react-router";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ApiError } from "@/api/client";
import type { Application, Manifest, ResourceNode } from "@/api/types";
import { linesOf } from "@/ui/forms/yaml/document";
import { provenanceOf, variablesIn, type SourceFile } from "./provenance";
import { foreignOf, SyncDialog } from "./SyncDialog";

const BASE = `name: shop
services:
  web:
    image: shop:\${TAG}
    environment:
      MODE: \${MODE:-fast} # \${UNUSED
      PRICE: "$$5"
  api:
    image: api:1
networks:
  back: {}
`;
const OVER = "services:\n  web:\n    ports: [\"80:80\"]\n";
const file = (path: string, text: string): SourceFile => ({ file: path, text, find: (p) => linesOf(text, p) });
const files = [file("compose.yaml", BASE), file("prod/compose.yaml", OVER)];
const manifest: Manifest = { commit: "c0ffee", files: [], rendered: { networks: { back: { name: "shop_back" } } } };
const app = { id: "a", name: "shop", environment: { name: "prod", variables: { TAG: "1" } }, node: { id: "n", name: "local" }, syncPolicy: { automated: false, prune: false, selfHeal: false } } as unknown as Application;
const node = (id: string, kind: ResourceNode["kind"], name: string, parentIds: string[] = []): ResourceNode => ({ id, kind, name, parentIds, details: {} });

describe("provenance", () => {
  it("names file and line of a service in each file that describes it, and where its variables come from", () => {
    const from = provenanceOf(node("service:web", "service", "web"), manifest, files, app)!;
    expect(from.origins.map((o) => `${o.file}:${o.line}`)).toEqual(["compose.yaml:3", "prod/compose.yaml:2"]);
    expect(from.origins[0]?.lines).toEqual(BASE.split("\n").slice(2, 7));
    expect(from.variables).toEqual([
      { name: "TAG", from: "environment prod" },
      { name: "MODE", from: "its default, fast" },
    ]);
  });

  it("finds containers and images by their service, shared objects by their real name", () => {
    const lines = (n: ResourceNode) => provenanceOf(n, manifest, files, app)?.origins.map((o) => `${o.file}:${o.line}`);
    expect(lines(node("c", "container", "shop-api-1", ["service:api"]))).toEqual(["compose.yaml:8"]);
    expect(lines(node("i", "image", "api:1", ["service:api"]))).toEqual(["compose.yaml:9"]);
    expect(lines(node("network:shop_back", "network", "shop_back"))).toEqual(["compose.yaml:11"]);
    expect(lines(node("network:shop_default", "network", "shop_default"))).toBeUndefined();
    expect(lines(node("a", "application", "shop"))).toBeUndefined();
  });

  it("takes a doubled dollar for a plain one", () => {
    expect(variablesIn("$$NOT $YES", app).map((v) => v.name)).toEqual(["YES"]);
  });
});

describe("a foreign project of the same name", () => {
  const refusal = (details: object) => new ApiError(409, "CONFLICT", "another compose project named shop runs on local", details as Record<string, unknown>);
  afterEach(() => vi.unstubAllGlobals());

  it("is told from other conflicts by the containers it names", () => {
    expect(foreignOf(refusal({ containers: ["old-web-1"] }))).toEqual(["old-web-1"]);
    expect(foreignOf(refusal({ containers: [{ name: "old-web-1", image: "nginx", state: "running" }] }))).toEqual(["old-web-1 · nginx · running"]);
    expect(foreignOf(refusal({}))).toBeNull();
    expect(foreignOf(new Error("x"))).toBeNull();
  });

  it("is offered to be taken over, and the plan is made with that", async () => {
    const sent: Record<string, unknown>[] = [];
    vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener: () => {}, removeEventListener: () => {}, addListener: () => {}, removeListener: () => {} }));
    vi.stubGlobal("fetch", async (_: string, init: RequestInit) => {
      const body = JSON.parse(String(init.body)) as Record<string, unknown>;
      sent.push(body);
      return body.adopt
        ? new Response(JSON.stringify({ id: "p", applicationId: "a", revision: "r", commit: null, empty: true, ops: [], warnings: [] }), { headers: { "Content-Type": "application/json" } })
        : new Response(JSON.stringify({ error: { code: "CONFLICT", message: "another project runs there", details: { containers: ["old-web-1"] } } }), { status: 409, headers: { "Content-Type": "application/json" } });
    });
    render(
      <QueryClientProvider client={new QueryClient()}>
        <MemoryRouter>
          <SyncDialog app={app} onClose={() => {}} />
        </MemoryRouter>
      </QueryClientProvider>,
    );
    expect(await screen.findByText("old-web-1")).toBeTruthy();
    expect(sent.at(-1)?.adopt).toBeUndefined();
    fireEvent.click(screen.getByText("Take over and plan"));
    expect(await screen.findByText("Nothing to do")).toBeTruthy();
    expect(sent.at(-1)?.adopt).toBe(true);
  });
});
