import type { Reason } from "./types";

/** One sentence for a reason, whichever form the server used. */
export function reasonText(reason: Reason): string {
  if (typeof reason === "string") return reason;
  return reason.object ? `${reason.object}: ${reason.message}` : reason.message;
}

/** A person's or service's name from the forms the contract allows. */
export function actorName(actor: string | { id?: string; name?: string; username?: string } | null | undefined): string {
  if (!actor) return "system";
  if (typeof actor === "string") return actor;
  return actor.name ?? actor.username ?? actor.id ?? "system";
}

export function errorText(error: { message: string } | string | null | undefined): string | null {
  if (!error) return null;
  return typeof error === "string" ? error : error.message;
}

/** "compose.yaml:14:3" from an error's place; null when it has none. */
export function placeText(place: { file?: string | null; line?: number | null; column?: number | null } | null | undefined): string | null {
  if (!place?.file) return null;
  return [place.file, place.line, place.column].filter((part) => part !== undefined && part !== null).join(":");
}
