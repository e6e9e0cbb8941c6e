import type { Application, ApplicationInput } from "@/api/types";
import { parseVariables, variablesText } from "@/ui/forms/errors";

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

/** Where the server's JSON pointers land in the form. */
export const POINTERS: Record<string, string> = {
  environment: "environment",
  "environment.name": "environment",
  "environment.variables": "variables",
  "syncPolicy.automated": "automated",
  "syncPolicy.prune": "prune",
  "syncPolicy.selfHeal": "selfHeal",
};

export const settingsOf = (a: Application): Settings => ({
  branch: a.branch,
  path: a.path,
  composeFiles: (a.composeFiles ?? []).join("\n"),
  nodeId: a.node?.id ?? "",
  environment: a.environment.name,
  variables: variablesText(a.environment.variables),
  automated: a.syncPolicy.automated,
  prune: a.syncPolicy.prune,
  selfHeal: a.syncPolicy.selfHeal,
});

export const listOf = (text: string): string[] =>
  text
    .split(/[\n,]/)
    .map((s) => s.trim())
    .filter(Boolean);

export function inputOf(s: Settings): Omit<ApplicationInput, "name" | "projectId" | "repositoryId"> {
  return {
    branch: s.branch,
    path: s.path,
    composeFiles: listOf(s.composeFiles),
    nodeId: s.nodeId || undefined,
    environment: { name: s.environment, variables: parseVariables(s.variables).variables },
    syncPolicy: { automated: s.automated, prune: s.prune, selfHeal: s.selfHeal },
  };
}
