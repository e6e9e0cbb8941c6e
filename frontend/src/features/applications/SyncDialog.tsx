import { Alert, Box, Button, Dialog, DialogActions, DialogContent, DialogTitle, FormControlLabel, Switch, TextField, useMediaQuery } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import { CircleCheck, GitCommitHorizontal } from "lucide-react";
import { useMemo, useState } from "react";
import { call } from "@/api/client";
import type { Application, Plan } from "@/api/types";
import { RelTime } from "@/ui/atoms";
import { plural } from "@/ui/format";
import { EmptyState, ErrorState, RowsSkeleton } from "@/ui/states";
import { useAction } from "@/ui/tasks";
import { chosenServices, groupPlan } from "./plan";
import { PlanView } from "./PlanView";

/** The plan of the next sync, read before it runs; what is approved here is what the server is asked to do. */
export function SyncDialog({ app, onClose }: { app: Application; onClose: () => void }) {
  const phone = useMediaQuery("(max-width:700px)");
  const [prune, setPrune] = useState(app.syncPolicy.prune);
  const [force, setForce] = useState(false);
  const [off, setOff] = useState<ReadonlySet<string>>(new Set());
  const [typed, setTyped] = useState("");
  const { busy, run } = useAction();
  const { data: plan, error, isFetching, refetch } = useQuery({
    queryKey: ["plan", app.id, "dry", prune, force],
    queryFn: ({ signal }) => call("POST /applications/{id}/sync", { path: { id: app.id }, body: { dryRun: true, prune, force }, signal }) as Promise<Plan>,
    retry: false,
    staleTime: 0,
  });
  const grouped = useMemo(() => (plan ? groupPlan(plan) : null), [plan]);
  const services = grouped ? chosenServices(grouped, off) : undefined;
  const nothing = !plan || plan.empty || (services !== undefined && services.length === 0);
  const risky = grouped?.lost.some((op) => op.service === null || !off.has(op.service)) ?? false;
  const toggle = (service: string) => {
    const next = new Set(off);
    if (!next.delete(service)) next.add(service);
    setOff(next);
  };
  const start = async () => {
    const body = { prune, force, services, revision: plan?.commit?.sha };
    const done = await run(`Sync of ${app.name}`, () => call("POST /applications/{id}/sync", { path: { id: app.id }, body }));
    if (done) onClose();
  };
  return (
    <Dialog open onClose={onClose} maxWidth="md" fullWidth fullScreen={phone} aria-labelledby="sync-title">
      <DialogTitle id="sync-title">Sync {app.name}</DialogTitle>
      <DialogContent sx={{ display: "grid", gap: 1.5, alignContent: "start", minHeight: 320 }}>
        {plan?.commit && (
          <Box sx={{ display: "flex", gap: 1, alignItems: "center", fontSize: 13, color: "var(--df-muted)", flexWrap: "wrap" }}>
            <GitCommitHorizontal size={16} />
            <span className="df-mono">{plan.commit.sha.slice(0, 12)}</span>
            <Box component="span" sx={{ color: "var(--df-text)" }}>
              {plan.commit.message?.split("\n")[0]}
            </Box>
            <span>{plan.commit.author}</span>
            <RelTime time={plan.commit.time} />
          </Box>
        )}
        {error ? (
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
