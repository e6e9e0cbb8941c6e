import type { FieldValues, Path, UseFormSetError } from "react-hook-form";
import { fieldErrors } from "@/api/client";

/**
 * Puts the server's errors to the fields they name. Returns the message for the whole form when some error belongs
 * to no field of it.
 */
export function applyErrors<T extends FieldValues>(error: unknown, setError: UseFormSetError<T>, known: readonly string[]): string | null {
  const found = fieldErrors(error);
  let rest: string | null = found.length ? null : error instanceof Error ? error.message : String(error);
  for (const { pointer, message } of found) {
    const path = pointer.slice(1).replace(/\//g, ".");
    const field = known.find((k) => k === path) ?? known.find((k) => path.startsWith(`${k}.`));
    if (field) setError(field as Path<T>, { type: "server", message }, { shouldFocus: true });
    else rest = `${pointer}: ${message}`;
  }
  return rest;
}

// A value that is more than one plain line is written as a JSON string; such a string that is meant as it stands, too.
const quoted = (value: string) => /[\r\n]|^\s|\s$|^"/.test(value);

/** "A=1" lines to an object; a line without a name is an error. */
export function parseVariables(text: string): { variables: Record<string, string>; error: string | null } {
  const variables: Record<string, string> = {};
  for (const [i, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    if (!line || line.startsWith("#")) continue;
    const at = line.indexOf("=");
    const name = at < 0 ? line : line.slice(0, at).trim();
    if (at < 0 || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return { variables, error: `Line ${i + 1}: write NAME=value.` };
    if (name in variables) return { variables, error: `Line ${i + 1}: ${name} stands twice.` };
    let value = line.slice(at + 1);
    if (value.startsWith('"')) {
      try {
        value = String(JSON.parse(value));
      } catch {
        return { variables, error: `Line ${i + 1}: a value in quotes ends with a quote; write \\" for one inside.` };
      }
    }
    variables[name] = value;
  }
  return { variables, error: null };
}

export const variablesText = (variables: Record<string, unknown> | undefined): string =>
  Object.entries(variables ?? {})
    .map(([k, v]) => `${k}=${quoted(String(v)) ? JSON.stringify(String(v)) : String(v)}`)
    .join("\n");
