import { IconButton, Tooltip } from "@mui/material";
import { Play, RotateCw, Square } from "lucide-react";
import { call } from "@/api/client";
import { useCan } from "@/live/queries";
import { useAction } from "@/ui/tasks";

type Verb = "start" | "stop" | "restart";
const WORD: Record<Verb, string> = { start: "Start", stop: "Stop", restart: "Restart" };

/** Start, stop and restart of one container, only those that make sense in its state. */
export function ContainerActions({ id, name, state }: { id: string; name: string; state: string }) {
  const can = useCan();
  const { busy, run } = useAction();
  const up = state === "running" || state === "restarting" || state === "paused";
  const act = (verb: Verb) => run(`${WORD[verb]} of ${name}`, () => call(`POST /containers/{id}/${verb}`, { path: { id } }));
  const button = (verb: Verb, icon: React.ReactNode, show: boolean) =>
    show && can(`container:${verb}`) ? (
      <Tooltip title={WORD[verb]} key={verb}>
        <span>
          <IconButton aria-label={`${WORD[verb]} ${name}`} loading={busy?.startsWith(WORD[verb])} disabled={!!busy} onClick={() => void act(verb)}>
            {icon}
          </IconButton>
        </span>
      </Tooltip>
    ) : null;
  return (
    <span style={{ whiteSpace: "nowrap" }} onClick={(e) => e.stopPropagation()}>
      {button("start", <Play size={16} />, !up)}
      {button("restart", <RotateCw size={16} />, up)}
      {button("stop", <Square size={15} />, up)}
    </span>
  );
}
