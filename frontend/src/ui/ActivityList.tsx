import { Box } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import { Activity as ActivityIcon, Boxes, Container, GitBranch, ListChecks, Rocket, Server, User } from "lucide-react";
import type { ReactNode } from "react";
import { Link } from "react-router";
import { actorName } from "@/api/text";
import type { Activity } from "@/api/types";
import { queries } from "@/live/queries";
import { RelTime } from "./atoms";
import { lookOf, StatusIcon } from "./status";

/** Fetched and live entries as one list, newest first, each once. */
export function mergeActivity(fetched: Activity[], live: Activity[]): Activity[] {
  const all = new Map<number, Activity>();
  for (const a of [...fetched, ...live]) all.set(a.seq, a);
  return [...all.values()].sort((a, b) => b.seq - a.seq);
}

const PHRASES: Record<string, string> = {
  "application.deleted": "The application was deleted",
  "node.status": "The node reported its state",
};

const text = (v: unknown): string | null => (typeof v === "string" && v ? v : null);

function repositoryText(d: Record<string, unknown>): string {
  const error = (d.error as { message?: string } | null | undefined)?.message;
  if (d.state === "error") return `The repository can't be read${error ? `: ${error}` : ""}`;
  const refs = Object.entries((d.refs ?? {}) as Record<string, unknown>).slice(0, 2).map(([ref, sha]) => `${ref} is at ${String(sha).slice(0, 12)}`);
  return refs.length ? `Read: ${refs.join(", ")}` : "The repository was read";
}

/** The server's sentence, or one made from topic and details where it only names the topic. */
export function activityText(a: Activity): string {
  if (a.text && a.text !== a.topic) return a.text;
  const d = a.details ?? {};
  if (a.topic === "deployment.finished") {
    const subject = text((d.commit as { message?: unknown } | null | undefined)?.message)?.split("\n")[0];
    return `Deployment${typeof d.number === "number" ? ` #${d.number}` : ""} ${typeof d.status === "string" ? lookOf(d.status).word.toLowerCase() : "ended"}${subject ? `: ${subject}` : ""}`;
  }
  if (a.topic === "repository.status") return repositoryText(d);
  return PHRASES[a.topic] ?? a.topic;
}

/** One entry for a run of equal ones, with how often it happened; the newest stands for all. */
export function foldActivity(items: Activity[]): { entry: Activity; times: number }[] {
  const out: { entry: Activity; times: number; key: string }[] = [];
  for (const entry of items) {
    const key = `${entry.topic} ${entry.object?.id ?? ""} ${activityText(entry)}`;
    const last = out.at(-1);
    if (last?.key === key) last.times++;
    else out.push({ entry, times: 1, key });
  }
  return out;
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
  const nameless = items.some((a) => a.object && !a.object.name);
  const { data } = useQuery({ ...queries.applications(), enabled: nameless });
  const { data: repositories } = useQuery({ ...queries.repositories(), enabled: nameless });
  return ({ object, details }) => {
    if (!object || object.name) return object?.name ?? "";
    const repository = object.kind === "repository" ? repositories?.items.find((r) => r.id === object.id)?.name : undefined;
    if (repository) return repository;
    const application = object.kind === "application" ? object.id : details?.applicationId;
    return data?.items.find((a) => a.id === application)?.name ?? `${object.kind} ${object.id.slice(0, 12)}`;
  };
}

function Icon({ a }: { a: Activity }) {
  const status = a.topic === "deployment.finished" ? text(a.details?.status) : a.topic === "repository.status" && a.details?.state === "error" ? "error" : null;
  if (status && status !== "succeeded") return <StatusIcon status={status} />;
  return ICONS[a.topic === "deployment.finished" ? "deployment" : (a.object?.kind ?? "")] ?? <ActivityIcon size={16} />;
}

export function ActivityList({ items, within }: { items: Activity[]; /** Id of the object whose page this is: it is not named again. */ within?: string }) {
  const nameOf = useObjectName(items);
  const link = { color: "var(--df-accent)", textDecoration: "none", "&:hover": { textDecoration: "underline" } } as const;
  return (
    <Box component="ol" aria-label="Activity" sx={{ m: 0, p: 0, listStyle: "none" }}>
      {foldActivity(items).map(({ entry: a, times }) => {
        const deployment = a.topic === "deployment.finished" ? text(a.details?.deploymentId) : null;
        const application = text(a.details?.applicationId);
        const to = deployment && application ? `/applications/${application}/history?deployment=${deployment}` : objectLink(a.object, a.details);
        const actor = actorName(a.actor);
        const sentence = activityText(a);
        const own = a.object?.id === within && !deployment;
        return (
          <Box component="li" key={a.seq} title={a.topic} sx={{ display: "grid", gridTemplateColumns: "20px minmax(0,1fr) auto", gap: 1.5, px: 2, py: 1.25, borderBottom: "1px solid var(--df-line)", "&:last-child": { borderBottom: 0 }, fontSize: 13.5, alignItems: "start" }}>
            <Box sx={{ color: "var(--df-muted)", pt: "2px" }}>
              <Icon a={a} />
            </Box>
            <Box sx={{ minWidth: 0, overflowWrap: "anywhere" }}>
              {sentence}
              {times > 1 && <Box component="span" className="df-num" sx={{ ml: 1, fontSize: 12, color: "var(--df-muted)" }}>{times} times</Box>}
              <Box sx={{ fontSize: 12.5, color: "var(--df-muted)", display: "flex", columnGap: 1.5, flexWrap: "wrap" }}>
                {a.object && !own && (to ? <Box component={Link} to={to} sx={link}>{nameOf(a)}</Box> : <span>{nameOf(a)}</span>)}
                {!sentence.startsWith(actor) && <span>{actor}</span>}
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
