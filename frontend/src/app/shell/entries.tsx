import { Activity, Boxes, Container, GitBranch, ListChecks, Server, Settings } from "lucide-react";
import type { ReactNode } from "react";

export interface NavEntry {
  to: string;
  label: string;
  icon: ReactNode;
  /** Second key after `g`. */
  key: string;
  permission?: string;
  group?: string;
}

export const NAV: NavEntry[] = [
  { to: "/applications", label: "Applications", icon: <Boxes size={18} />, key: "a", permission: "application:read" },
  { to: "/containers", label: "Containers", icon: <Container size={18} />, key: "c", permission: "container:read", group: "Docker" },
  { to: "/nodes", label: "Nodes", icon: <Server size={18} />, key: "n", permission: "node:read", group: "Infrastructure" },
  { to: "/repositories", label: "Repositories", icon: <GitBranch size={18} />, key: "r", permission: "repository:read", group: "Infrastructure" },
  { to: "/activity", label: "Activity", icon: <Activity size={18} />, key: "v", permission: "event:read", group: "Platform" },
  { to: "/tasks", label: "Tasks", icon: <ListChecks size={18} />, key: "t", permission: "task:read", group: "Platform" },
  { to: "/settings", label: "Settings", icon: <Settings size={18} />, key: "s", group: "Platform" },
];
