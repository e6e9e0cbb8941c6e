/**
 * Shapes of the HTTP contract under the names the UI uses. All of them come from the server's OpenAPI document
 * (openapi.d.ts, made by the build): a field that is renamed there does not compile here. By hand is only what no
 * document describes: the frames of the event connection and of log streams, at the end of this file.
 */
import type { components } from "./openapi";

export type Schemas = components["schemas"];

export interface Page<T> {
  items: T[];
  next: string | null;
}

export type ErrorBody = Schemas["Error"];
/** Why something failed, as objects carry it. */
export type Failure = Schemas["Failure"];

export type User = Schemas["User"];
export type LoginResult = Schemas["LoginResult"];
export type Me = Schemas["Me"];
export type Session = Schemas["Session"];
export type ApiToken = Schemas["ApiToken"];
export type Role = Schemas["Role"];
export type RoleBinding = Schemas["RoleBinding"];
export type Project = Schemas["Project"];

export type Node = Schemas["Node"];
export type NodeInput = Schemas["NodeCreate"];
export type NodeState = Node["state"];
export type NodeTest = Schemas["NodeTest"];
export type Engine = Schemas["Engine"];

export type Repository = Schemas["Repository"];
export type RepositoryInput = Schemas["RepositoryCreate"];

export type Application = Schemas["Application"];
export type ApplicationInput = Schemas["ApplicationCreate"];
export type SyncStatus = Application["sync"]["status"];
export type HealthStatus = Application["health"]["status"];
export type SyncPolicy = Application["syncPolicy"];
export type SyncRequest = Schemas["SyncRequest"];
export type Reason = Schemas["StatusReason"];
export type ResourceNode = Schemas["ResourceNode"];
export type ResourceKind = ResourceNode["kind"];
export type Manifest = Schemas["Manifest"];
export type AppDiff = Schemas["Diff"];
export type DiffChange = AppDiff["services"][number]["changes"][number];
export type Approval = Schemas["Approval"];

export type Commit = Schemas["Commit"];
export type Plan = Schemas["Plan"];
export type PlanOp = Schemas["PlanOp"];
export type Cause = Schemas["PlanCause"];
export type Deployment = Schemas["Deployment"];
export type DeploymentStatus = Deployment["status"];
export type DeploymentOp = Schemas["DeploymentOp"];
export type OpState = DeploymentOp["state"];

export type Task = Schemas["Task"];
export type TaskState = Task["state"];
export type TaskStep = Schemas["TaskStep"];
export type TaskRef = Schemas["TaskRef"];
export type TaskLogLine = Schemas["TaskLogLine"];

export type Container = Schemas["Container"];
export type Activity = Schemas["Activity"];
export type Info = Schemas["Info"];

/* ---- by hand: frames of the streams, which OpenAPI has no words for ---- */

export interface LiveEvent {
  type: "event";
  sub?: string[];
  seq: number;
  topic: string;
  object: { kind: string; id: string } | null;
  payload: unknown;
  time: string;
}

/** Payload of "container.event". */
export interface ContainerEvent {
  nodeId: string;
  containerId: string;
  name: string;
  state: string;
  health: string | null;
  action: string;
  applicationId: string | null;
}

/** Payload of "deployment.progress". */
export interface DeploymentProgress {
  deploymentId: string;
  applicationId: string;
  op: { id: string; state: OpState; error?: Failure | null };
  done: number;
  total: number;
}

export type LogFrame =
  | { type: "log"; stream: "stdout" | "stderr"; ts: string | null; seq: number; line: string }
  | { type: "logs"; items: { s: 1 | 2; t: string | number | null; q: number; l: string }[] }
  | { type: "gap"; dropped?: number; from?: string | null; to?: string | null }
  | { type: "end"; reason?: string }
  | { type: "error"; error?: { code: string; message: string }; code?: string; message?: string };
