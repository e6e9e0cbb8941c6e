/** Shapes of the HTTP and WebSocket contract, as the server documents them. */

export interface Page<T> {
  items: T[];
  next: string | null;
}

export interface ErrorBody {
  error: {
    code: string;
    message: string;
    details?: Record<string, unknown> | null;
    field?: string;
    timestamp?: string;
    requestId?: string;
  };
}

export interface User {
  id: string;
  username: string;
  email: string;
  fullName: string;
  active: boolean;
  mustChangePassword: boolean;
  mfaEnabled: boolean;
  lastLoginAt: string | null;
  createdAt: string;
  updatedAt: string;
  version: number;
}

export interface LoginResult {
  user: User;
  expiresIn: number;
  mustChangePassword: boolean;
}

export interface Me {
  user: User;
  permissions: string[];
  scopes: { scopeId: string; kind: string; name: string; permissions: string[] }[];
  mustChangePassword: boolean;
}

export interface Session {
  id: string;
  createdAt: string;
  lastUsedAt: string;
  ip: string;
  userAgent: string;
  current: boolean;
}

export interface ApiToken {
  id: string;
  name: string;
  prefix: string;
  scopes: string[];
  expiresAt: string | null;
  lastUsedAt: string | null;
  createdAt: string;
  token?: string;
}

export interface Role {
  id: string;
  name: string;
  type: string;
  description: string;
  permissions: string[];
  inherits: string[];
  builtIn: boolean;
  version: number;
}

export interface RoleBinding {
  id: string;
  subjectKind: "user" | "team" | "serviceAccount";
  subjectId: string;
  role: string;
  scopeId: string;
  scopeKind?: string;
  scopeName?: string;
}

export interface Project {
  id: string;
  name: string;
  organizationId: string;
  displayName: string;
  scopeId?: string;
}

export interface Engine {
  version: string;
  apiVersion: string;
  os: string;
  arch: string;
  cpus: number;
  memory: number;
  cgroupVersion: string;
  swarm: string | boolean | null;
}

export type NodeState = "connecting" | "online" | "unreachable" | "maintenance";

export interface Node {
  id: string;
  name: string;
  url: string;
  state: NodeState;
  stateReason: string | null;
  engine: Engine | null;
  labels: Record<string, string>;
  containersRunning: number;
  containersTotal: number;
  images: number;
  lastSeenAt: string | null;
  version: number;
}

export interface NodeTest {
  ok: boolean;
  engine?: Engine | null;
  error?: { code: string; message: string } | null;
}

export interface Repository {
  id: string;
  name: string;
  url: string;
  projectId: string;
  authType: "none" | "token" | "ssh";
  hasCredentials: boolean;
  webhookUrl: string;
  webhookSecretSet: boolean;
  pollSeconds: number;
  lastPolledAt: string | null;
  lastCommit: string | null;
  state: "ok" | "error" | "pending";
  error: { code: string; message: string } | null;
  version: number;
}

export interface RepositoryInput {
  name: string;
  url: string;
  branch?: string;
  auth: { type: "none" | "token" | "ssh"; username?: string; token?: string; privateKey?: string; hostKey?: string };
  pollSeconds?: number;
  projectId: string;
}

export type SyncStatus = "Synced" | "OutOfSync" | "Unknown";
export type HealthStatus = "Healthy" | "Progressing" | "Degraded" | "Suspended" | "Missing" | "Unknown";
export type TaskState = "queued" | "running" | "succeeded" | "failed" | "cancelled";

export interface SourceError {
  code: string;
  message: string;
  details?: { file?: string; line?: number; column?: number } | null;
}

export interface SyncPolicy {
  automated: boolean;
  prune: boolean;
  selfHeal: boolean;
  allowEmpty?: boolean;
}

export interface Application {
  id: string;
  name: string;
  projectId: string;
  scopeId: string;
  repository: { id: string; name: string; url: string };
  branch: string;
  path: string;
  composeFiles: string[];
  description?: string | null;
  labels?: Record<string, string> | null;
  /** "git": described in the repository, changed only there. */
  origin?: string;
  suspended?: boolean;
  manifestPath: string | null;
  manifestLine?: number | null;
  node: { id: string; name: string } | null;
  environment: { name: string; variables: Record<string, string> };
  syncPolicy: SyncPolicy;
  /** Deletion is under way. */
  deleting?: boolean;
  sync: {
    status: SyncStatus;
    desiredCommit: string | null;
    deployedCommit: string | null;
    fencedCommit?: string | null;
    comparedAt: string | null;
    reasons: Reason[];
  };
  health: { status: HealthStatus; reasons: Reason[] };
  operation: { taskId: string; kind: string; state: TaskState; startedAt: string | null } | null;
  lastDeployment: { id: string; commit: string; status: DeploymentStatus; finishedAt: string | null } | null;
  error: SourceError | null;
  createdAt: string;
  updatedAt: string;
  version: number;
}

/** Reasons come as plain sentences or as coded objects; `reasonText` shows both. */
export type Reason = string | { code?: string; message: string; object?: string };

export interface ApplicationInput {
  name: string;
  projectId: string;
  repositoryId: string;
  branch: string;
  path: string;
  composeFiles?: string[];
  nodeId?: string;
  environment: { name: string; variables: Record<string, string> };
  syncPolicy: SyncPolicy;
}

export interface SyncRequest {
  revision?: string;
  prune?: boolean;
  force?: boolean;
  services?: string[];
  dryRun?: boolean;
  /** Takes over containers of a compose project of the same name that somebody else started. */
  adopt?: boolean;
}

export type ResourceKind =
  | "application"
  | "service"
  | "container"
  | "network"
  | "volume"
  | "image"
  | "config"
  | "secret";

export interface ResourceNode {
  id: string;
  kind: ResourceKind;
  name: string;
  parentIds: string[];
  health: { status: HealthStatus; reason?: string | null } | null;
  sync: SyncStatus | { status: SyncStatus } | null;
  details: Record<string, unknown>;
}

export interface Commit {
  sha: string;
  author: string | null;
  message: string | null;
  time: string | null;
}

export interface Cause {
  code: string;
  message: string;
  path?: string | null;
  from?: unknown;
  to?: unknown;
  file?: string | null;
  line?: number | null;
}

export interface PlanOp {
  id: string;
  kind: string;
  service: string | null;
  object: string;
  title: string;
  cause: Cause[];
  dependsOn: string[];
  reversible: boolean;
  destructive: boolean;
}

export interface Plan {
  id: string;
  applicationId: string;
  revision: string;
  commit: Commit | null;
  empty: boolean;
  ops: PlanOp[];
  warnings: (string | { message: string })[];
}

export interface DiffChange {
  path: string;
  desired: unknown;
  live: unknown;
  cause?: string | null;
  source?: { file?: string; line?: number } | null;
}

export interface AppDiff {
  services: { name: string; changes: DiffChange[] }[];
}

export interface Manifest {
  commit?: string | null;
  rendered?: unknown;
  project?: unknown;
  files: (string | { path: string; content?: string })[] | null;
}

export type DeploymentStatus = "pending" | "running" | "succeeded" | "failed" | "cancelled" | "rolledBack";
export type OpState = "pending" | "running" | "succeeded" | "failed" | "skipped";

export interface DeploymentOp {
  id: string;
  kind: string;
  title: string;
  state: OpState;
  startedAt: string | null;
  finishedAt: string | null;
  error: { code?: string; message: string } | null;
}

export interface Approval {
  permission: string;
  rule: string;
  message: string;
  approvedBy: { id: string; name: string };
  token: { id: string; name: string } | null;
  approvedAt: string;
}

export interface Deployment {
  id: string;
  applicationId: string;
  number: number;
  commit: Commit;
  trigger: "manual" | "auto" | "poll" | "webhook" | "rollback" | "selfHeal" | "api";
  user: string | { id?: string; name?: string; username?: string } | null;
  status: DeploymentStatus;
  startedAt: string | null;
  finishedAt: string | null;
  durationMs: number | null;
  /** Only in the answer for one deployment; lists carry `opsTotal`. */
  ops?: DeploymentOp[];
  opsTotal?: number;
  plan?: Plan | null;
  error: { code: string; message: string; details?: SourceError["details"] } | null;
  images: Record<string, string | null> | null;
}

export interface TaskStep {
  id: string;
  title: string;
  state: OpState | TaskState;
  startedAt: string | null;
  finishedAt: string | null;
  error: { code?: string; message: string } | string | null;
}

export interface Task {
  id: string;
  kind: string;
  state: TaskState;
  title: string;
  object: { kind: string; id: string; name: string } | null;
  progress: { done: number; total: number; text: string } | null;
  steps: TaskStep[];
  result: unknown;
  error: { code: string; message: string; details?: unknown } | null;
  createdAt: string;
  startedAt: string | null;
  finishedAt: string | null;
  createdBy: string | { id?: string; name?: string } | null;
}

/** What the server answers when an action became a task; its state comes as events. */
export interface TaskRef {
  taskId: string;
  task: string;
}

export interface TaskLogLine {
  seq: number;
  time: string;
  level: string;
  text: string;
}

export interface Container {
  id: string;
  names: string[];
  name: string;
  node: { id: string; name: string };
  image: string;
  imageId: string;
  state: string;
  status: string;
  health: string | null;
  createdAt: string;
  startedAt: string | null;
  ports: { ip?: string; privatePort: number; publicPort?: number | null; type: string }[];
  labels: Record<string, string>;
  composeProject: string | null;
  composeService: string | null;
  application: { id: string; name: string } | null;
}

export interface Activity {
  seq: number;
  topic: string;
  object: { kind: string; id: string; name: string } | null;
  actor: string | { id?: string; name?: string; kind?: string } | null;
  text: string;
  time: string;
  details: Record<string, unknown> | null;
}

export interface Info {
  name: string;
  version: string;
  commit: string;
  startedAt: string;
  apiVersion: string;
  features: string[];
}

export interface ContainerEvent {
  nodeId: string;
  containerId: string;
  name: string;
  state: string;
  health: string | null;
  action: string;
  applicationId: string | null;
}

export interface DeploymentProgress {
  deploymentId: string;
  applicationId: string;
  op: { id: string; state: OpState; error?: { message: string } | null };
  done: number;
  total: number;
}

export interface LiveEvent {
  type: "event";
  sub?: string[];
  seq: number;
  topic: string;
  object: { kind: string; id: string } | null;
  payload: unknown;
  time: string;
}

export type LogFrame =
  | { type: "log"; stream: "stdout" | "stderr"; ts: string | null; seq: number; line: string }
  | { type: "logs"; items: { s: 1 | 2; t: string | number | null; q: number; l: string }[] }
  | { type: "gap"; dropped?: number; from?: string | null; to?: string | null }
  | { type: "end"; reason?: string }
  | { type: "error"; error?: { code: string; message: string }; code?: string; message?: string };
