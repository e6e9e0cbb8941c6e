import type { Schema } from "./schema";
import type * as T from "./types";

interface Paging {
  limit?: number;
  cursor?: string;
}
type Id = { id: string };

/**
 * Every call the UI makes: method and path template to its inputs and its answer.
 * `npm run gen:api` checks this list against the OpenAPI document of a running or built server.
 */
export interface Routes {
  "POST /auth/login": { body: { username: string; password: string }; result: T.LoginResult };
  "POST /auth/refresh": { result: T.LoginResult };
  "POST /auth/logout": { result: void };
  "GET /auth/me": { result: T.Me };
  "POST /auth/change-password": { body: { currentPassword: string; newPassword: string }; result: void };
  "GET /auth/sessions": { result: T.Page<T.Session> };
  "DELETE /auth/sessions/{id}": { path: Id; result: void };
  "GET /tokens": { query?: Paging; result: T.Page<T.ApiToken> };
  "POST /tokens": { body: { name: string; scopes: string[]; expiresInDays: number }; result: T.ApiToken };
  "DELETE /tokens/{id}": { path: Id; result: void };

  "GET /users": { query?: Paging; result: T.Page<T.User> };
  "POST /users": {
    body: { username: string; email: string; fullName: string; password: string };
    result: T.User;
  };
  "PATCH /users/{id}": { path: Id; ifMatch: number; body: Partial<T.User>; result: T.User };
  "DELETE /users/{id}": { path: Id; ifMatch: number; result: void };
  "GET /roles": { query?: Paging; result: T.Page<T.Role> };
  "GET /permissions": { result: T.Page<{ name: string; description: string }> };
  "GET /role-bindings": { query?: { scope?: string; subject?: string } & Paging; result: T.Page<T.RoleBinding> };
  "POST /role-bindings": { body: Pick<T.RoleBinding, "subjectKind" | "subjectId" | "role" | "scopeId">; result: T.RoleBinding };
  "DELETE /role-bindings/{id}": { path: Id; result: void };
  "GET /projects": { query?: Paging; result: T.Page<T.Project> };

  "GET /nodes": { query?: Paging; result: T.Page<T.Node> };
  "POST /nodes": {
    body: { name: string; url: string; tls?: { ca: string; cert: string; key?: string }; labels?: Record<string, string> };
    result: T.Node;
  };
  "DELETE /nodes/{id}": { path: Id; ifMatch: number; result: void };
  "POST /nodes/{id}/test": { path: Id; result: T.NodeTest };

  "GET /repositories": { query?: Paging; result: T.Page<T.Repository> };
  "POST /repositories": { body: T.RepositoryInput; result: T.Repository };
  "DELETE /repositories/{id}": { path: Id; ifMatch: number; result: void };
  "POST /repositories/{id}/test": { path: Id; result: { ok: boolean; error?: { code: string; message: string } | null } };
  "POST /repositories/{id}/refresh": { path: Id; result: T.TaskRef };
  "POST /repositories/{id}/webhook-secret": { path: Id; result: { secret: string } };

  "GET /applications": {
    query?: { project?: string; sync?: string; health?: string; q?: string } & Paging;
    result: T.Page<T.Application>;
  };
  "POST /applications": { body: T.ApplicationInput; result: T.Application };
  "GET /applications/{id}": { path: Id; result: T.Application };
  "PATCH /applications/{id}": { path: Id; ifMatch: number; body: Partial<T.ApplicationInput>; result: T.Application };
  "DELETE /applications/{id}": { path: Id; query?: { cascade?: boolean }; ifMatch: number; result: T.TaskRef | void };
  "POST /applications/{id}/sync": { path: Id; body: T.SyncRequest; result: T.TaskRef | T.Plan };
  "GET /applications/{id}/plan": { path: Id; result: T.Plan };
  "POST /applications/{id}/refresh": { path: Id; result: T.TaskRef };
  "POST /applications/{id}/rollback": { path: Id; body: { deploymentId: string }; result: T.TaskRef };
  "GET /applications/{id}/diff": { path: Id; result: T.AppDiff };
  "GET /applications/{id}/approvals": { path: Id; result: T.Page<T.Approval> };
  "DELETE /applications/{id}/approvals": { path: Id; result: void };
  "GET /applications/{id}/resources": { path: Id; result: { nodes: T.ResourceNode[] } };
  "GET /applications/{id}/deployments": { path: Id; query?: Paging; result: T.Page<T.Deployment> };
  "GET /applications/{id}/manifest": { path: Id; result: T.Manifest };
  "GET /deployments/{id}": { path: Id; result: T.Deployment };

  "GET /tasks": { query?: { state?: string; kind?: string } & Paging; result: T.Page<T.Task> };
  "GET /tasks/{id}": { path: Id; result: T.Task };
  "POST /tasks/{id}/cancel": { path: Id; result: unknown };
  "GET /tasks/{id}/log": { path: Id; result: T.Page<T.TaskLogLine> };

  "GET /containers": {
    query?: { node?: string; state?: string; name?: string; image?: string; project?: string } & Paging;
    result: T.Page<T.Container>;
  };
  "GET /containers/{id}": { path: Id; result: Record<string, unknown> };
  "GET /containers/{id}/logs": { path: Id; query?: { tail?: number }; result: string };
  "POST /containers/{id}/start": { path: Id; result: unknown };
  "POST /containers/{id}/stop": { path: Id; query?: { t?: number }; result: unknown };
  "POST /containers/{id}/restart": { path: Id; query?: { t?: number }; result: unknown };

  "GET /activity": { query?: { object?: string } & Paging; result: T.Page<T.Activity> };
  "GET /info": { result: T.Info };
  "GET /schemas/{kind}": { path: { kind: string }; result: Schema };
}

export type RouteKey = keyof Routes;
export type Result<K extends RouteKey> = Routes[K]["result"];
type Inputs = "path" | "query" | "body" | "ifMatch";
/** What a caller has to hand over for one route: exactly the inputs the route names. */
export type Args<K extends RouteKey> = Pick<Routes[K], Extract<keyof Routes[K], Inputs>>;
