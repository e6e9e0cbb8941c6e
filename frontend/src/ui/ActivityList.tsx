import { Box } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import { Activity as ActivityIcon, Boxes, Container, GitBranch, ListChecks, Rocket, Server, User } from "lucide-react";
import type { ReactNode } from "react";
import { Link } from "react-router";
import { actorName } from "@/api/text";
import type { Activity } from "@/api/types";
import { queries } from "@/live/queries";
import { RelTime } from "./atoms";

/** Fetched and live entries as one list, newest first, each once. */
export function mergeActivity(fetched: Activity[], live: Activity[]): Activity[] {
  const all = new Map<number, Activity>();
  for (const a of [...fetched, ...live]) all.set(a.seq, a);
  return [...all.values()].sort((a, b) => b.seq - a.seq);
}

const PHRASES: Record<string, string> = {
  "application.deleted": "The application was deleted",
  "repository.status": "The repository was looked at",
  "node.status": "The node reported its state",
};

/** The server's sentence, or one made from topic and details where it only names the topic. */
export function activityText(a: Activity): string {
  if (a.text && a.text !== a.topic) return a.text;
  const d = a.details ?? {};
  if (a.topic === "deployment.finished") return `Deployment${typeof d.number === "number" ? ` #${d.number}` : ""} ${typeof d.status === "string" ? d.status : "ended"}`;
  return PHRASES[a.topic] ?? a.topic;
}

const ICONS: Record<string, ReactNode> = {
  application: <Boxes size={16} />,
  deployment: <Rocket size={16} />,
  container: <Container size={16} />,
  node: <Server size={16} />,
  repository: <GitBranch size={16} />,
  task: <ListChecks size={16} />,
  user: <User size={16} />,
};

export function objectLink(object: Activity["object"], details?: Activity["details"]): string | null {
  if (!object) return null;
  switch (object.kind) {
    case "application":
      return `/applications/${object.id}`;
    case "container":
      return `/containers/${object.id}`;
    case "task":
      return `/tasks/${object.id}`;
    case "node":
      return `/nodes?node=${object.id}`;
    case "repository":
      return `/repositories?repository=${object.id}`;
    case "deployment":
      return typeof details?.applicationId === "string" ? `/applications/${details.applicationId}/history?deployment=${object.id}` : null;
    default:
      return null;
  }
}

/** Some events name their object by id alone; the application behind it says more than an id. */
function useObjectName(items: Activity[]): (a: Activity) => string {
  const { data } = useQuery({ ...queries.applications(), enabled: items.some((a) => a.object && !a.object.name) });
  return ({ object, details }) => {
    if (!object || object.name) return object?.name ?? "";
    const application = object.kind === "application" ? object.id : details?.applicationId;
    return data?.items.find((a) => a.id === application)?.name ?? `${object.kind} ${object.id.slice(0, 12)}`;
  };
}

export function ActivityList({ items }: { items: Activity[] }) {
  const nameOf = useObjectName(items);
  return (
    <Box component="ol" aria-label="Activity" sx={{ m: 0, p: 0, listStyle: "none" }}>
      {items.map((a) => {
        const to = objectLink(a.object, a.details);
        return (
          <Box component="li" key={a.seq} sx={{ display: "grid", gridTemplateColumns: "20px minmax(0,1fr) auto", gap: 1.5, px: 2, py: 1.25, borderBottom: "1px solid var(--df-line)", "&:last-child": { borderBottom: 0 }, fontSize: 13.5, alignItems: "start" }}>
            <Box sx={{ color: "var(--df-muted)", pt: "2px" }}>{ICONS[a.object?.kind ?? ""] ?? <ActivityIcon size={16} />}</Box>
            <Box sx={{ minWidth: 0, overflowWrap: "anywhere" }}>
              {activityText(a)}
              <Box sx={{ fontSize: 12.5, color: "var(--df-muted)", display: "flex", gap: 1.5, flexWrap: "wrap" }}>
                {a.object && (to ? <Box component={Link} to={to} sx={{ color: "var(--df-accent)", textDecoration: "none", "&:hover": { textDecoration: "underline" } }}>{nameOf(a)}</Box> : <span>{nameOf(a)}</span>)}
                <span>{actorName(a.actor)}</span>
                <span className="df-mono">{a.topic}</span>
              </Box>
            </Box>
            <Box sx={{ fontSize: 12.5, color: "var(--df-muted)", whiteSpace: "nowrap" }}>
              <RelTime time={a.time} />
            </Box>
          </Box>
        );
      })}
    </Box>
  );
}
