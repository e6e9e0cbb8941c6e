import { Box, Button, IconButton, Tooltip } from "@mui/material";
import { Play, RotateCw, Square, X } from "lucide-react";
import { useState } from "react";
import { call } from "@/api/client";
import type { Container } from "@/api/types";
import { useCan } from "@/live/queries";
import { plural } from "@/ui/format";
import { useAction } from "@/ui/tasks";
import { notify } from "@/ui/toasts";

type Verb = "start" | "stop" | "restart";
const WORD: Record<Verb, string> = { start: "Start", stop: "Stop", restart: "Restart" };
const ICON: Record<Verb, React.ReactNode> = { start: <Play size={16} />, restart: <RotateCw size={16} />, stop: <Square size={15} /> };

const isUp = (state: string) => state === "running" || state === "restarting" || state === "paused";
const makesSense = (verb: Verb, state: string) => (verb === "start") !== isUp(state);

/** Start, stop and restart of one container, only those that make sense in its state. */
export function ContainerActions({ id, name, state, labelled = false }: { id: string; name: string; state: string; labelled?: boolean }) {
  const can = useCan();
  const { busy, run } = useAction();
  const act = (verb: Verb) => run(`${WORD[verb]} of ${name}`, () => call(`POST /containers/{id}/${verb}`, { path: { id } }));
  const shown = (["start", "restart", "stop"] as const).filter((verb) => makesSense(verb, state) && can(`container:${verb}`));
  if (labelled) {
    return shown.map((verb) => (
      <Button key={verb} variant="outlined" startIcon={ICON[verb]} loading={busy?.startsWith(WORD[verb])} disabled={!!busy} onClick={() => void act(verb)} aria-label={`${WORD[verb]} ${name}`}>
        {WORD[verb]}
      </Button>
    ));
  }
  return (
    <span style={{ whiteSpace: "nowrap" }} onClick={(e) => e.stopPropagation()}>
      {shown.map((verb) => (
        <Tooltip title={WORD[verb]} key={verb}>
          <span>
            <IconButton aria-label={`${WORD[verb]} ${name}`} loading={busy?.startsWith(WORD[verb])} disabled={!!busy} onClick={() => void act(verb)}>
              {ICON[verb]}
            </IconButton>
          </span>
        </Tooltip>
      ))}
    </span>
  );
}

/** What is done with the chosen containers; each verb to those it makes sense for. */
export function ChosenActions({ containers, onClear }: { containers: Container[]; onClear: () => void }) {
  const can = useCan();
  const [busy, setBusy] = useState<Verb | null>(null);
  const act = async (verb: Verb) => {
    setBusy(verb);
    const targets = containers.filter((c) => makesSense(verb, c.state));
    const ends = await Promise.allSettled(targets.map((c) => call(`POST /containers/{id}/${verb}`, { path: { id: c.id } })));
    setBusy(null);
    const failed = targets.filter((_, i) => ends[i]?.status === "rejected");
    if (failed.length) notify({ severity: "error", title: `${WORD[verb]} failed for ${failed.length} of ${plural(targets.length, "container")}`, text: failed.map((c) => c.name).join(", ") });
    else {
      notify({ severity: "success", title: `${WORD[verb]} of ${plural(targets.length, "container")} done` });
      onClear();
    }
  };
  return (
    <Box role="region" aria-label="Chosen containers" sx={{ position: "sticky", bottom: 16, mt: 2, mx: "auto", width: "fit-content", maxWidth: "100%", display: "flex", flexWrap: "wrap", alignItems: "center", gap: 1, px: 1.5, py: 1, border: "1px solid var(--df-line-strong)", borderRadius: 1, backgroundColor: "var(--df-raised)", boxShadow: "0 12px 32px rgb(0 0 0 / 0.18)" }}>
      <Box component="span" role="status" className="df-num" sx={{ fontSize: 13, fontWeight: 600, mr: 0.5 }}>
        {containers.length} chosen
      </Box>
      {(["start", "restart", "stop"] as const)
        .filter((verb) => can(`container:${verb}`) && containers.some((c) => makesSense(verb, c.state)))
        .map((verb) => (
          <Button key={verb} variant="outlined" startIcon={ICON[verb]} loading={busy === verb} disabled={!!busy} onClick={() => void act(verb)}>
            {WORD[verb]}
          </Button>
        ))}
      <IconButton aria-label="Choose none" onClick={onClear}>
        <X size={16} />
      </IconButton>
    </Box>
  );
}
