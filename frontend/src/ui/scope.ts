import { create } from "zustand";

const KEY = "df-project";

/** The project the lists are narrowed to; empty means all. A convenience of this browser, never a right. */
export const useScope = create<{ project: string; setProject: (id: string) => void }>((set) => ({
  project: localStorage.getItem(KEY) ?? "",
  setProject: (project) => {
    if (project) localStorage.setItem(KEY, project);
    else localStorage.removeItem(KEY);
    set({ project });
  },
}));
