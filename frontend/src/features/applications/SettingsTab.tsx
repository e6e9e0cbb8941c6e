import { Alert, Box, Button, Checkbox, Dialog, DialogActions, DialogContent, DialogTitle, FormControlLabel, Radio, RadioGroup } from "@mui/material";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useForm } from "react-hook-form";
import { useBlocker, useNavigate } from "react-router";
import { ApiError, call, taskIdOf } from "@/api/client";
import type { Application } from "@/api/types";
import { queries, useCan } from "@/live/queries";
import { Card, Facts, Id, RelTime } from "@/ui/atoms";
import { ConfirmDialog } from "@/ui/dialogs";
import { titleCase, valueText } from "@/ui/format";
import { applyErrors } from "@/ui/forms/errors";
import { watchTask } from "@/ui/tasks";
import { notify } from "@/ui/toasts";
import { merge, type Conflict } from "./merge";
import { inputOf, POINTERS, settingsOf, type Settings } from "./settings";
import { SettingsFields } from "./SettingsFields";

const KNOWN = ["branch", "path", "composeFiles", "nodeId", ...Object.keys(POINTERS)];

function ConflictDialog({ conflicts, onClose, onResolve }: { conflicts: Conflict[]; onClose: () => void; onResolve: (choice: Record<string, "mine" | "theirs">) => void }) {
  const [choice, setChoice] = useState<Record<string, "mine" | "theirs">>(() => Object.fromEntries(conflicts.map((c) => [c.path, "mine"])));
  return (
    <Dialog open onClose={onClose} maxWidth="sm" fullWidth>
      <DialogTitle>Somebody else saved first</DialogTitle>
      <DialogContent sx={{ display: "grid", gap: 2 }}>
        <span>{conflicts.length ? "These settings were changed on both sides. All others were merged." : "Their changes and yours touch different settings and were merged. Save the result?"}</span>
        {conflicts.map((c) => (
          <Box key={c.path} sx={{ border: "1px solid var(--df-line)", borderRadius: 1, p: 1.5 }}>
            <Box sx={{ fontWeight: 600, fontSize: 13 }}>{titleCase(c.path)}</Box>
            <Box sx={{ fontSize: 12.5, color: "var(--df-muted)" }}>
              was <span className="df-mono">{valueText(c.base)}</span>
            </Box>
            <RadioGroup value={choice[c.path]} onChange={(e) => setChoice({ ...choice, [c.path]: e.target.value as "mine" | "theirs" })}>
              <FormControlLabel value="mine" control={<Radio size="small" />} label={<span>Yours: <span className="df-mono">{valueText(c.mine)}</span></span>} />
              <FormControlLabel value="theirs" control={<Radio size="small" />} label={<span>Theirs: <span className="df-mono">{valueText(c.theirs)}</span></span>} />
            </RadioGroup>
          </Box>
        ))}
      </DialogContent>
      <DialogActions>
        <Button color="inherit" onClick={onClose}>
          Cancel
        </Button>
        <Button variant="contained" onClick={() => onResolve(choice)}>
          Save merged
        </Button>
      </DialogActions>
    </Dialog>
  );
}

function DeleteCard({ app }: { app: Application }) {
  const [open, setOpen] = useState(false);
  const [cascade, setCascade] = useState(true);
  const navigate = useNavigate();
  const client = useQueryClient();
  const { data } = useQuery(queries.resources(app.id));
  const of = (kind: string) => (data?.nodes ?? []).filter((n) => n.kind === kind).map((n) => n.name);
  const lost: [string, string[]][] = [
    ["Containers", of("container")],
    ["Networks", of("network")],
  ];
  return (
    <Card title="Delete">
      <Box sx={{ display: "flex", alignItems: "center", gap: 2, flexWrap: "wrap" }}>
        <Box sx={{ flex: 1, minWidth: 220, fontSize: 13.5, color: "var(--df-muted)" }}>Removes the application and, when chosen, what it runs. The repository is not touched.</Box>
        <Button variant="outlined" color="error" onClick={() => setOpen(true)}>
          Delete application
        </Button>
      </Box>
      <ConfirmDialog
        open={open}
        title={`Delete ${app.name}`}
        name={app.name}
        verb="Delete"
        onClose={() => setOpen(false)}
        onConfirm={async () => {
          const result = await call("DELETE /applications/{id}", { path: { id: app.id }, query: cascade ? { cascade: true } : {}, ifMatch: app.version });
          const task = taskIdOf(result);
          if (task) watchTask(task, `Deletion of ${app.name}`);
          notify({ severity: "info", title: task ? `${app.name} is being deleted` : `${app.name} was deleted`, link: task ? { to: `/tasks/${task}`, label: "View" } : undefined });
          await client.invalidateQueries({ queryKey: ["applications"] });
          void navigate("/applications");
        }}
      >
        <FormControlLabel control={<Checkbox checked={cascade} onChange={(e) => setCascade(e.target.checked)} />} label="Stop and remove what it runs" />
        {cascade &&
          lost.map(([kind, names]) =>
            names.length ? (
              <Box key={kind} sx={{ mt: 1 }}>
                <Box sx={{ fontWeight: 600, fontSize: 13 }}>
                  {kind} ({names.length})
                </Box>
                <Box component="ul" sx={{ m: 0, pl: 2.5, fontSize: 13, maxHeight: 140, overflow: "auto" }}>
                  {names.map((n) => (
                    <li key={n}>{n}</li>
                  ))}
                </Box>
              </Box>
            ) : null,
          )}
        {of("volume").length > 0 && <Box sx={{ mt: 1.5, fontSize: 13, color: "var(--df-muted)" }}>Volumes stay with their data: {of("volume").join(", ")}.</Box>}
      </ConfirmDialog>
    </Card>
  );
}

export default function SettingsTab({ app }: { app: Application }) {
  const client = useQueryClient();
  const can = useCan();
  const editable = can("application:update");
  const [base, setBase] = useState(app);
  const [error, setError] = useState<string | null>(null);
  const [conflict, setConflict] = useState<{ theirs: Application; merged: Settings; conflicts: Conflict[] } | null>(null);
  const { register, control, handleSubmit, formState, reset, getValues, setError: setField } = useForm<Settings>({ defaultValues: settingsOf(app) });
  const dirty = formState.isDirty;
  const blocker = useBlocker(({ currentLocation, nextLocation }) => dirty && currentLocation.pathname !== nextLocation.pathname);
  useEffect(() => {
    // Someone else's change shows at once while nothing is edited here.
    if (!dirty && app.version !== base.version) {
      setBase(app);
      reset(settingsOf(app));
    }
  }, [app, base.version, dirty, reset]);
  useEffect(() => {
    if (!dirty) return;
    const stay = (e: BeforeUnloadEvent) => e.preventDefault();
    window.addEventListener("beforeunload", stay);
    return () => window.removeEventListener("beforeunload", stay);
  }, [dirty]);

  const save = async (settings: Settings, version: number) => {
    setError(null);
    try {
      const saved = await call("PATCH /applications/{id}", { path: { id: app.id }, ifMatch: version, body: inputOf(settings) });
      client.setQueryData(queries.application(app.id).queryKey, saved);
      setBase(saved);
      reset(settingsOf(saved));
      setConflict(null);
      notify({ severity: "success", title: "Settings saved" });
    } catch (e) {
      if (e instanceof ApiError && e.status === 412) {
        const theirs = await call("GET /applications/{id}", { path: { id: app.id } });
        setConflict({ theirs, ...merge(settingsOf(base), settings, settingsOf(theirs)) });
      } else {
        setConflict(null);
        setError(applyErrors(e, (path, err) => setField((POINTERS[path] ?? path) as keyof Settings, err), KNOWN));
      }
    }
  };
  const resolve = (choice: Record<string, "mine" | "theirs">) => {
    if (!conflict) return;
    const settings = { ...conflict.merged };
    for (const c of conflict.conflicts) if (choice[c.path] === "theirs") Object.assign(settings, { [c.path]: c.theirs });
    void save(settings, conflict.theirs.version);
  };
  return (
    <Box sx={{ display: "grid", gap: 2, maxWidth: 860 }}>
      <Card title="Settings">
        <Box component="form" noValidate onSubmit={(e: React.FormEvent) => void handleSubmit((s) => save(s, base.version))(e)}>
          <Box component="fieldset" disabled={!editable} sx={{ border: 0, p: 0, m: 0, display: "grid", gap: 2 }}>
            {error && <Alert severity="error">{error}</Alert>}
            {dirty && app.version !== base.version && <Alert severity="info">Somebody saved a newer version while you edit. Saving will merge the two.</Alert>}
            <SettingsFields register={register} control={control} errors={formState.errors} />
            {editable && (
              <Box sx={{ display: "flex", gap: 1 }}>
                <Button type="submit" variant="contained" disabled={!dirty} loading={formState.isSubmitting}>
                  Save
                </Button>
                <Button color="inherit" disabled={!dirty} onClick={() => reset(settingsOf(base))}>
                  Undo changes
                </Button>
              </Box>
            )}
          </Box>
        </Box>
      </Card>
      <Card title="Identity">
        <Facts
          rows={[
            ["Id", <Id key="i" value={app.id} label="application id" />],
            ["Repository", app.repository.url],
            ["Manifest", app.manifestPath ?? "none; described here"],
            ["Version", String(app.version)],
            ["Created", <RelTime key="c" time={app.createdAt} />],
            ["Changed", <RelTime key="u" time={app.updatedAt} />],
          ]}
        />
      </Card>
      {can("application:delete") && <DeleteCard app={app} />}
      {conflict && <ConflictDialog conflicts={conflict.conflicts} onClose={() => (reset(getValues(), { keepDefaultValues: true }), setConflict(null))} onResolve={resolve} />}
      <ConfirmDialog open={blocker.state === "blocked"} title="Leave without saving?" verb="Leave" onClose={() => blocker.state === "blocked" && blocker.reset()} onConfirm={() => (blocker.state === "blocked" ? blocker.proceed() : undefined)}>
        Your changes to the settings of {app.name} are not saved.
      </ConfirmDialog>
    </Box>
  );
}
