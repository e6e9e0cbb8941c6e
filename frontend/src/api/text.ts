import type { Application, Reason } from "./types";

/** One sentence for a reason. */
export function reasonText(reason: Reason): string {
  return reason.object && !reason.message.includes(reason.object) ? `${reason.object}: ${reason.message}` : reason.message;
}

/** Why an application is not fine, each sentence once: health and sync may share their list. */
export function reasonsOf(app: Application): string[] {
  const health = app.health.status === "Healthy" ? [] : app.health.reasons;
  const sync = app.sync.status === "Synced" ? [] : app.sync.reasons;
  return [...new Set([...health, ...sync].map(reasonText))];
}

/** The operation under way; a finished one may still be named by the application. */
export function activeOperation(app: Application): Application["operation"] {
  const op = app.operation;
  return op && (op.state === "running" || op.state === "queued") ? op : null;
}

/** The name of who did something; what nobody asked for the server did. */
export function actorName(actor: { id: string | null; name: string | null } | null): string {
  return actor?.name ?? actor?.id ?? "system";
}

/** "compose.yaml:14:3" from an error's place; null when it has none. */
export function placeText(place: { file?: string | null; line?: number | null; column?: number | null } | null | undefined): string | null {
  if (!place?.file) return null;
  return [place.file, place.line, place.column].filter((part) => part !== undefined && part !== null).join(":");
}
