import type { Application } from "@/api/types";
import { parseVariables, variablesText } from "@/ui/forms/errors";
import { headed, partOf, put, textOf, withValue, type Model } from "@/ui/forms/merge";
import type { Shape } from "@/ui/forms/useModelForm";
import { isHidden } from "@/ui/hidden";

/** The editable settings as flat texts and switches, the form's own shape. */
export interface Settings {
  branch: string;
  path: string;
  composeFiles: string;
  nodeId: string;
  environment: string;
  variables: string;
  automated: boolean;
  prune: boolean;
  selfHeal: boolean;
}

export interface NewSettings extends Settings {
  name: string;
  projectId: string;
  repositoryId: string;
}

export const listOf = (lines: string): string[] =>
  lines
    .split("\n")
    .map((s) => s.trim())
    .filter(Boolean);

export function settingsOf(model: Model): Settings {
  const environment = partOf(model.environment);
  const policy = partOf(model.syncPolicy);
  return {
    branch: textOf(model.branch),
    path: textOf(model.path),
    composeFiles: (Array.isArray(model.composeFiles) ? model.composeFiles : []).join("\n"),
    nodeId: textOf(model.nodeId),
    environment: textOf(environment.name),
    variables: variablesText(partOf(environment.variables)),
    automated: policy.automated === true,
    prune: policy.prune === true,
    selfHeal: policy.selfHeal === true,
  };
}

export function layOver(s: Settings, base: Model): Model {
  const list = listOf(s.composeFiles);
  const { variables } = parseVariables(s.variables);
  let m = put(base, ["branch"], s.branch.trim(), !s.branch.trim());
  m = put(m, ["path"], s.path.trim(), !s.path.trim());
  m = put(m, ["composeFiles"], list, !list.length);
  m = withValue(m, ["nodeId"], s.nodeId || undefined);
  m = put(m, ["environment", "name"], s.environment.trim(), false);
  m = put(m, ["environment", "variables"], variables, !Object.keys(variables).length);
  for (const key of ["automated", "prune", "selfHeal"] as const) m = put(m, ["syncPolicy", key], s[key], !s[key]);
  return m;
}

const FIELDS = {
  "/branch": "branch",
  "/path": "path",
  "/composeFiles": "composeFiles",
  "/nodeId": "nodeId",
  "/environment": "environment",
  "/environment/name": "environment",
  "/environment/variables": "variables",
  "/syncPolicy": "automated",
  "/syncPolicy/automated": "automated",
  "/syncPolicy/prune": "prune",
  "/syncPolicy/selfHeal": "selfHeal",
} as const;

const check = (s: Settings) => ({ variables: parseVariables(s.variables).error ?? undefined });
const words = { "format /environment/name": "Enter a name such as production: lower-case letters, digits and inner dashes." };

export const settingsShape: Shape<Settings> = { schema: "ApplicationUpdate", toFields: settingsOf, toModel: layOver, fields: FIELDS, check, words };

export const newShape: Shape<NewSettings> = {
  schema: "ApplicationCreate",
  toFields: (m) => ({ ...settingsOf(m), name: textOf(m.name), projectId: textOf(m.projectId), repositoryId: textOf(m.repositoryId) }),
  toModel: (s, base) => layOver(s, headed({ name: s.name, projectId: s.projectId, repositoryId: s.repositoryId }, base)),
  fields: { ...FIELDS, "/name": "name", "/projectId": "projectId", "/repositoryId": "repositoryId" },
  check,
  words: { ...words, "required /name": "Enter a name.", "required /projectId": "Choose a project.", "required /repositoryId": "Choose or connect a repository.", "format /name": "Lower-case letters, digits and inner dashes only." },
};

/** What of an application can be edited, as the server takes it. */
export function modelOf(a: Application): Model {
  const hidden = Object.values(a.environment.variables ?? {}).some(isHidden);
  return {
    name: a.name,
    ...(a.description ? { description: a.description } : {}),
    ...(Object.keys(a.labels ?? {}).length ? { labels: a.labels } : {}),
    projectId: a.projectId,
    repositoryId: a.repository.id,
    branch: a.branch,
    path: a.path,
    composeFiles: a.composeFiles ?? [],
    ...(a.node ? { nodeId: a.node.id } : {}),
    environment: { name: a.environment.name, ...(hidden ? {} : { variables: a.environment.variables ?? {} }) },
    syncPolicy: a.syncPolicy,
    ...(a.suspended ? { suspended: true } : {}),
  };
}
