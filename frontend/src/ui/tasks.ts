import { useState } from "react";
import { create } from "zustand";
import { ApiError, call, taskIdOf } from "@/api/client";
import type { Task } from "@/api/types";
import { useLive } from "@/live/store";
import { notify, notifyError } from "./toasts";

interface Own {
  name: string;
  heardAt: number;
}

const QUIET_MS = 10_000;
const LOOK_EVERY_MS = 2_500;

// Tasks this tab started: their end is told by a toast, wherever the user is by then.
const useOwnTasks = create<{ tasks: Record<string, Own> }>(() => ({ tasks: {} }));
const asking = new Set<string>();

export function watchTask(id: string, name: string): void {
  useOwnTasks.setState((s) => ({ tasks: { ...s.tasks, [id]: { name, heardAt: Date.now() } } }));
  take(useLive.getState().tasks[id]); // the event of a quick task arrives before the answer to the request
}

function forget(id: string): void {
  const { [id]: _, ...rest } = useOwnTasks.getState().tasks;
  useOwnTasks.setState({ tasks: rest });
}

/** News of a task; the end of an own one is told, once. */
function take(task: Task | undefined): void {
  const own = task && useOwnTasks.getState().tasks[task.id];
  if (!task || !own) return;
  if (task.state === "queued" || task.state === "running") {
    own.heardAt = Date.now();
    return;
  }
  forget(task.id);
  const link = { to: `/tasks/${task.id}`, label: "View" };
  if (task.state === "succeeded") notify({ severity: "success", title: `${own.name} finished`, link });
  else if (task.state === "cancelled") notify({ severity: "info", title: `${own.name} was cancelled`, link });
  else notify({ severity: "error", title: `${own.name} failed`, text: task.error ? `${task.error.code}: ${task.error.message}` : undefined, link });
}

/** Reads own tasks whose events may be lost, or that send none. */
async function ask(id: string): Promise<void> {
  if (asking.has(id)) return;
  asking.add(id);
  try {
    take(await call("GET /tasks/{id}", { path: { id } }));
  } catch (error) {
    if (error instanceof ApiError && (error.status === 403 || error.status === 404)) forget(id);
  } finally {
    asking.delete(id);
  }
}

function askAll(quietFor: number): void {
  for (const [id, own] of Object.entries(useOwnTasks.getState().tasks)) if (Date.now() - own.heardAt >= quietFor) void ask(id);
}

/** Tells the end of own tasks, whatever happens to their events; installed once by the shell. Returns how to stop it. */
export function announceTasks(): () => void {
  const stop = useLive.subscribe((state, before) => {
    if (state.tasks !== before.tasks) for (const id of Object.keys(useOwnTasks.getState().tasks)) if (state.tasks[id] !== before.tasks[id]) take(state.tasks[id]);
    if (state.gaps !== before.gaps || (state.link.state === "live" && before.link.state !== "live")) askAll(0);
  });
  const ticker = setInterval(() => askAll(QUIET_MS), LOOK_EVERY_MS);
  return () => {
    stop();
    clearInterval(ticker);
  };
}

/** Runs an action that the server answers with a task or at once; `busy` is for the button in place. */
export function useAction(): { busy: string | null; run: (name: string, action: () => Promise<unknown>) => Promise<unknown> } {
  const [busy, setBusy] = useState<string | null>(null);
  const run = async (name: string, action: () => Promise<unknown>): Promise<unknown> => {
    setBusy(name);
    try {
      const result = await action();
      const task = taskIdOf(result);
      if (task) {
        notify({ severity: "info", title: `${name} started`, link: { to: `/tasks/${task}`, label: "View" } });
        watchTask(task, name);
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
