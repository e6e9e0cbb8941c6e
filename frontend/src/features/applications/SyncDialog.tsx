import { Alert, Box, Button, Dialog, DialogActions, DialogContent, DialogTitle, FormControlLabel, Switch, TextField, useMediaQuery } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import { CircleCheck, GitCommitHorizontal } from "lucide-react";
import { useMemo, useState } from "react";
import { ApiError, call } from "@/api/client";
import type { Application, Plan } from "@/api/types";
import { RelTime } from "@/ui/atoms";
import { plural } from "@/ui/format";
import { EmptyState, ErrorState, RowsSkeleton } from "@/ui/states";
import { useAction } from "@/ui/tasks";
import { chosenServices, groupPlan } from "./plan";
import { PlanView } from "./PlanView";

/** What the server named of a compose project of the same name that somebody else runs there; null for other refusals. */
export function foreignOf(error: unknown): string[] | null {
  if (!(error instanceof ApiError) || error.status !== 409) return null;
  const list = error.details.containers ?? error.details.foreign;
  if (!Array.isArray(list)) return null;
  return (list as unknown[]).map((c) => (typeof c === "string" ? c : [(c as { name?: string }).name ?? String((c as { id?: string }).id ?? "").slice(0, 12), (c as { image?: string }).image, (c as { state?: string }).state].filter(Boolean).join(" · ")));
}

function Foreign({ app, names, message, onAdopt }: { app: Application; names: string[]; message: string; onAdopt: () => void }) {
  return (
    <Box sx={{ border: "1px solid var(--df-warn)", borderRadius: 1, p: 2, backgroundColor: "var(--df-warn-soft)", alignSelf: "start", display: "grid", gap: 1 }} role="alert" data-part="foreign">
      <Box sx={{ fontWeight: 600 }}>{app.node?.name ?? "The node"} already runs a compose project of this name</Box>
      <Box sx={{ fontSize: 13 }}>{message}</Box>
      <Box component="ul" sx={{ m: 0, pl: 2.5, fontSize: 13, maxHeight: 180, overflow: "auto" }}>
        {names.map((n) => (
          <li key={n} className="df-mono">
            {n}
          </li>
        ))}
      </Box>
      <Box sx={{ fontSize: 13 }}>Taking it over makes these containers part of {app.name}: what differs from the repository is replaced, what it does not describe may be removed. The plan comes first.</Box>
      <Box>
        <Button variant="outlined" onClick={onAdopt}>
          Take over and plan
        </Button>
      </Box>
    </Box>
  );
}

/** The plan of the next sync, read before it runs; what is approved here is what the server is asked to do. */
export function SyncDialog({ app, onClose }: { app: Application; onClose: () => void }) {
  const phone = useMediaQuery("(max-width:700px)");
  const [prune, setPrune] = useState(app.syncPolicy.prune);
  const [force, setForce] = useState(false);
  const [adopt, setAdopt] = useState(false);
  const [off, setOff] = useState<ReadonlySet<string>>(new Set());
  const [typed, setTyped] = useState("");
  const [refused, setRefused] = useState<ApiError | null>(null);
  const { busy, run } = useAction();
  const { data: plan, error, isFetching, refetch } = useQuery({
    queryKey: ["plan", app.id, "dry", prune, force, adopt],
    queryFn: ({ signal }) => call("POST /applications/{id}/sync", { path: { id: app.id }, body: { dryRun: true, prune, force, ...(adopt ? { adopt } : {}) }, signal }) as Promise<Plan>,
    retry: false,
    staleTime: 0,
  });
  const foreign = adopt ? null : foreignOf(refused ?? error);
  const grouped = useMemo(() => (plan ? groupPlan(plan) : null), [plan]);
  const services = grouped ? chosenServices(grouped, off) : undefined;
  const nothing = !plan || !!foreign || plan.empty || (services !== undefined && services.length === 0);
  const risky = grouped?.lost.some((op) => op.service === null || !off.has(op.service)) ?? false;
  const toggle = (service: string) => {
    const next = new Set(off);
    if (!next.delete(service)) next.add(service);
    setOff(next);
  };
  const start = async () => {
    const body = { prune, force, services, revision: plan?.commit?.sha ?? undefined, ...(adopt ? { adopt } : {}) };
    const done = await run(`Sync of ${app.name}`, () =>
      call("POST /applications/{id}/sync", { path: { id: app.id }, body }).catch((e: unknown) => {
        if (foreignOf(e)) setRefused(e as ApiError);
        throw e;
      }),
    );
    if (done) onClose();
  };
  return (
    <Dialog open onClose={onClose} maxWidth="md" fullWidth fullScreen={phone} aria-labelledby="sync-title">
      <DialogTitle id="sync-title">Sync {app.name}</DialogTitle>
      <DialogContent sx={{ display: "grid", gap: 1.5, alignContent: "start", minHeight: 320 }}>
        {plan?.commit && (
          <Box sx={{ display: "flex", gap: 1, alignItems: "center", fontSize: 13, color: "var(--df-muted)", flexWrap: "wrap" }}>
            <GitCommitHorizontal size={16} />
            <span className="df-mono">{plan.commit.sha?.slice(0, 12)}</span>
            <Box component="span" sx={{ color: "var(--df-text)" }}>
              {plan.commit.message?.split("\n")[0]}
            </Box>
            <span>{plan.commit.author}</span>
            <RelTime time={plan.commit.time} />
          </Box>
        )}
        {adopt && <Alert severity="warning">The containers of the other project are taken over by this sync.</Alert>}
        {foreign ? (
          <Foreign
            app={app}
            names={foreign}
            message={(refused ?? (error as Error)).message}
            onAdopt={() => {
              setRefused(null);
              setAdopt(true);
            }}
          />
        ) : error ? (
          <ErrorState error={error} what="No plan could be made" retry={() => void refetch()} />
        ) : !plan || !grouped ? (
          <RowsSkeleton rows={4} height={56} />
        ) : plan.empty ? (
          <EmptyState icon={<CircleCheck size={28} color="var(--df-ok)" />} title="Nothing to do" text="What runs is what the repository describes. With Recreate everything, all containers are replaced all the same." />
        ) : (
          <PlanView plan={plan} grouped={grouped} off={off} onToggle={toggle} />
        )}
        {risky && (
          <Box sx={{ display: "grid", gap: 1 }}>
            <Alert severity="error">This plan removes something that can't be brought back.</Alert>
            <TextField label={`Type ${app.name} to confirm`} value={typed} onChange={(e) => setTyped(e.target.value)} slotProps={{ htmlInput: { autoComplete: "off", spellCheck: false } }} />
          </Box>
        )}
      </DialogContent>
      <DialogActions sx={{ borderTop: "1px solid var(--df-line)", flexWrap: "wrap", pt: 1.5, rowGap: 1, justifyContent: "flex-start" }}>
        <Box sx={{ display: "flex", flexWrap: "wrap", rowGap: 1 }}>
          <FormControlLabel sx={{ mr: 2, "& .MuiFormControlLabel-label": { fontSize: 13 } }} control={<Switch checked={prune} onChange={(e) => setPrune(e.target.checked)} />} label="Remove what is no longer described" />
          <FormControlLabel sx={{ "& .MuiFormControlLabel-label": { fontSize: 13 } }} control={<Switch checked={force} onChange={(e) => setForce(e.target.checked)} />} label="Recreate everything" />
        </Box>
        <Box sx={{ flex: { sm: 1 }, width: { xs: "100%", sm: "auto" } }} />
        <Button color="inherit" onClick={onClose} sx={{ ml: "auto !important" }}>
          Cancel
        </Button>
        <Button variant="contained" disabled={nothing || isFetching || (risky && typed !== app.name)} loading={busy !== null} onClick={() => void start()}>
          {grouped && !nothing ? `Run ${plural(services ? grouped.groups.filter((g) => g.service === null || !off.has(g.service)).reduce((n, g) => n + g.ops.length, 0) : grouped.total, "operation")}` : "Sync"}
        </Button>
      </DialogActions>
    </Dialog>
  );
}
