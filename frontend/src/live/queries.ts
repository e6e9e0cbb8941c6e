import { keepPreviousData, queryOptions, useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { call, listAll, type Listing } from "@/api/client";
import { refsOf, type Schema, type SchemaSet } from "@/api/schema";
import type { Application, Container, Node, Repository, Task } from "@/api/types";
import { listen } from "./bind";
import { reconcile, useLive, type Kind } from "./store";

/** Keeps a subscription of the event connection for as long as the calling view is mounted. */
export function useTopics(topics: string[], object?: string): void {
  const key = topics.join(",");
  const up = useLive((s) => s.link.state !== "closed");
  useEffect(() => {
    if (!up) return;
    return listen(key.split(","), object);
  }, [key, object, up]);
}

/** True for the one flash of a row after its object changed; keyed by time so that each change restarts it. */
export function useChangedAt(kind: Kind, id: string): number {
  return useLive((s) => s.changed[`${kind}:${id}`] ?? 0);
}

async function fresh<T extends { id: string }>(kind: Kind, load: () => Promise<Listing<T>>): Promise<Listing<T>> {
  const startedAt = Date.now();
  const data = await load();
  return { ...data, items: reconcile(kind, data.items, startedAt) };
}

async function freshOne<T extends { id: string }>(kind: Kind, load: () => Promise<T>): Promise<T> {
  const startedAt = Date.now();
  const data = await load();
  return reconcile(kind, [data], startedAt)[0] ?? data;
}

/** A schema and, level by level, what it refers to. */
async function loadSchema(name: string, signal: AbortSignal): Promise<SchemaSet> {
  const all: SchemaSet["all"] = {};
  for (let next = [name]; next.length; ) {
    const read = await Promise.all(next.map((kind) => call("GET /schemas/{kind}", { path: { kind }, signal }) as Promise<Schema>));
    next.forEach((kind, i) => (all[kind] = read[i] ?? {}));
    next = [...new Set(read.flatMap(refsOf))].filter((kind) => !all[kind]);
  }
  return { name, all };
}

// Events keep these caches true, so a mounted view never refetches by time.
const live = { staleTime: 30_000 } as const;

export const queries = {
  me: () => queryOptions({ queryKey: ["me"], queryFn: ({ signal }) => call("GET /auth/me", { signal }), staleTime: Infinity, retry: false }),
  info: () => queryOptions({ queryKey: ["info"], queryFn: ({ signal }) => call("GET /info", { signal }), staleTime: Infinity }),
  schema: (name: string) => queryOptions({ queryKey: ["schema", name], queryFn: ({ signal }) => loadSchema(name, signal), staleTime: Infinity, retry: false }),
  // No event tells of projects: whoever shows them reads them.
  projects: () => queryOptions({ queryKey: ["projects"], queryFn: ({ signal }) => listAll("GET /projects", { signal }) }),
  applications: (project?: string) =>
    queryOptions({
      queryKey: ["applications", project ?? ""],
      queryFn: ({ signal }) =>
        fresh<Application>("application", () => listAll("GET /applications", { query: { project }, signal })),
      placeholderData: keepPreviousData,
      ...live,
    }),
  application: (id: string) =>
    queryOptions({
      queryKey: ["application", id],
      queryFn: ({ signal }) => freshOne<Application>("application", () => call("GET /applications/{id}", { path: { id }, signal })),
      ...live,
    }),
  approvals: (id: string) =>
    queryOptions({ queryKey: ["approvals", id], queryFn: ({ signal }) => call("GET /applications/{id}/approvals", { path: { id }, signal }) }),
  resources: (id: string) =>
    queryOptions({ queryKey: ["resources", id], queryFn: ({ signal }) => call("GET /applications/{id}/resources", { path: { id }, signal }), ...live }),
  plan: (id: string) =>
    queryOptions({ queryKey: ["plan", id], queryFn: ({ signal }) => call("GET /applications/{id}/plan", { path: { id }, signal }), retry: false, ...live }),
  diff: (id: string) =>
    queryOptions({ queryKey: ["diff", id], queryFn: ({ signal }) => call("GET /applications/{id}/diff", { path: { id }, signal }), retry: false, ...live }),
  manifest: (id: string) =>
    queryOptions({ queryKey: ["manifest", id], queryFn: ({ signal }) => call("GET /applications/{id}/manifest", { path: { id }, signal }), retry: false, ...live }),
  deployments: (id: string) =>
    queryOptions({
      queryKey: ["deployments", id],
      queryFn: ({ signal }) => listAll("GET /applications/{id}/deployments", { path: { id }, signal }, 1),
      ...live,
    }),
  deployment: (id: string) =>
    queryOptions({ queryKey: ["deployment", id], queryFn: ({ signal }) => call("GET /deployments/{id}", { path: { id }, signal }), ...live }),
  tasks: () => queryOptions({ queryKey: ["tasks"], queryFn: ({ signal }) => fresh<Task>("task", () => listAll("GET /tasks", { signal }, 1)), ...live }),
  task: (id: string) =>
    queryOptions({ queryKey: ["task", id], queryFn: ({ signal }) => freshOne<Task>("task", () => call("GET /tasks/{id}", { path: { id }, signal })), ...live }),
  taskLog: (id: string) =>
    queryOptions({ queryKey: ["task-log", id], queryFn: ({ signal }) => call("GET /tasks/{id}/log", { path: { id }, signal }), ...live }),
  containers: () =>
    queryOptions({ queryKey: ["containers"], queryFn: ({ signal }) => fresh<Container>("container", () => listAll("GET /containers", { signal })), ...live }),
  container: (id: string) =>
    queryOptions({ queryKey: ["container", id], queryFn: ({ signal }) => call("GET /containers/{id}", { path: { id }, signal }), ...live }),
  nodes: () => queryOptions({ queryKey: ["nodes"], queryFn: ({ signal }) => fresh<Node>("node", () => listAll("GET /nodes", { signal })), ...live }),
  repositories: () =>
    queryOptions({ queryKey: ["repositories"], queryFn: ({ signal }) => fresh<Repository>("repository", () => listAll("GET /repositories", { signal })), ...live }),
  activity: (object?: string) =>
    queryOptions({ queryKey: ["activity", object ?? ""], queryFn: ({ signal }) => listAll("GET /activity", { query: { object }, signal }, 1), ...live }),
  sessions: () => queryOptions({ queryKey: ["sessions"], queryFn: ({ signal }) => call("GET /auth/sessions", { signal }) }),
  tokens: () => queryOptions({ queryKey: ["tokens"], queryFn: ({ signal }) => listAll("GET /tokens", { signal }) }),
  users: () => queryOptions({ queryKey: ["users"], queryFn: ({ signal }) => listAll("GET /users", { signal }) }),
  roles: () => queryOptions({ queryKey: ["roles"], queryFn: ({ signal }) => listAll("GET /roles", { signal }) }),
  permissions: () => queryOptions({ queryKey: ["permissions"], queryFn: ({ signal }) => call("GET /permissions", { signal }), staleTime: Infinity }),
  bindings: () => queryOptions({ queryKey: ["bindings"], queryFn: ({ signal }) => listAll("GET /role-bindings", { signal }) }),
};

/** The rights of the signed-in user anywhere; the server decides each call by its scope. */
export function useCan(): (permission: string) => boolean {
  const { data } = useQuery(queries.me());
  return (permission) => {
    if (!data) return false;
    const all = data.permissions;
    const [resource] = permission.split(":");
    return all.includes("*") || all.includes("*:*") || all.includes(permission) || all.includes(`${resource}:*`) ||
      data.scopes.some((s) => s.permissions.includes(permission) || s.permissions.includes("*"));
  };
}
