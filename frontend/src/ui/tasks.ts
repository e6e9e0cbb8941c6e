import { useState } from "react";
import { create } from "zustand";
import { isTask } from "@/api/client";
import { useLive } from "@/live/store";
import { notify, notifyError } from "./toasts";

// Tasks this tab started: their end is told by a toast, wherever the user is by then.
const useOwnTasks = create<{ names: Record<string, string> }>(() => ({ names: {} }));

export function watchTask(id: string, name: string): void {
  useOwnTasks.setState((s) => ({ names: { ...s.names, [id]: name } }));
}

/** Tells the end of one own task, once. */
function announce(id: string, name: string): void {
  const task = useLive.getState().tasks[id];
  if (!task || task.state === "queued" || task.state === "running") return;
  const { [id]: _, ...rest } = useOwnTasks.getState().names;
  useOwnTasks.setState({ names: rest });
  const link = { to: `/tasks/${id}`, label: "View" };
  if (task.state === "succeeded") notify({ severity: "success", title: `${name} finished`, link });
  else if (task.state === "cancelled") notify({ severity: "info", title: `${name} was cancelled`, link });
  else notify({ severity: "error", title: `${name} failed`, text: task.error ? `${task.error.code}: ${task.error.message}` : undefined, link });
}

/** Tells the end of own tasks; installed once by the shell. Returns the function that stops it. */
export function announceTasks(): () => void {
  return useLive.subscribe((state, before) => {
    if (state.tasks === before.tasks) return;
    for (const [id, name] of Object.entries(useOwnTasks.getState().names)) announce(id, name);
  });
}

/** Runs an action that the server answers with a task or at once; `busy` is for the button in place. */
export function useAction(): { busy: string | null; run: (name: string, action: () => Promise<unknown>) => Promise<unknown> } {
  const [busy, setBusy] = useState<string | null>(null);
  const run = async (name: string, action: () => Promise<unknown>): Promise<unknown> => {
    setBusy(name);
    try {
      const result = await action();
      if (isTask(result)) {
        notify({ severity: "info", title: `${name} started`, link: { to: `/tasks/${result.id}`, label: "View" } });
        watchTask(result.id, name);
        announce(result.id, name); // the event of a quick task arrives before the answer to the request
      } else notify({ severity: "success", title: `${name} done` });
      return result ?? true;
    } catch (error) {
      notifyError(`${name} failed`, error, () => void run(name, action));
      return undefined;
    } finally {
      setBusy(null);
    }
  };
  return { busy, run };
}
