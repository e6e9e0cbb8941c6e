import { Alert, Box, Button, Checkbox, FormControlLabel } from "@mui/material";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useNavigate } from "react-router";
import { ApiError, call, taskIdOf } from "@/api/client";
import { placeText } from "@/api/text";
import type { Application, ApplicationInput } from "@/api/types";
import { queries, useCan } from "@/live/queries";
import { Card, Facts, Id, RelTime } from "@/ui/atoms";
import { ConfirmDialog } from "@/ui/dialogs";
import { ConflictDialog } from "@/ui/forms/ConflictDialog";
import { changedKeys, merge, type Merge, type Model } from "@/ui/forms/merge";
import { ModelSwitch, ModelYaml } from "@/ui/forms/ModelSwitch";
import { Unsaved } from "@/ui/forms/Unsaved";
import { useModelForm } from "@/ui/forms/useModelForm";
import { isHidden } from "@/ui/hidden";
import { watchTask } from "@/ui/tasks";
import { notify } from "@/ui/toasts";
import { ApprovalsCard } from "./ApprovalsCard";
import { modelOf, settingsShape } from "./settings";
import { SettingsFields } from "./SettingsFields";

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

function Identity({ app }: { app: Application }) {
  return (
    <Card title="Identity">
      <Facts
        rows={[
          ["Id", <Id key="i" value={app.id} label="application id" />],
          ["Repository", app.repository.url],
          ["Manifest", app.manifestPath ? <span key="m" className="df-mono">{placeText({ file: app.manifestPath, line: app.manifestLine })}</span> : "none; described here"],
          ["Version", String(app.version)],
          ["Created", <RelTime key="c" time={app.createdAt} />],
          ["Changed", <RelTime key="u" time={app.updatedAt} />],
        ]}
      />
    </Card>
  );
}

export default function SettingsTab({ app }: { app: Application }) {
  const client = useQueryClient();
  const can = useCan();
  const fromGit = app.origin === "git";
  const editable = can("application:update") && !fromGit;
  const [base, setBase] = useState({ version: app.version, model: modelOf(app) });
  const [conflict, setConflict] = useState<{ theirs: Application; merge: Merge } | null>(null);
  const hidden = Object.entries(app.environment.variables ?? {}).flatMap(([name, value]) => (isHidden(value) ? [name] : []));

  const save = async (wanted: Model, from: { version: number; model: Model }) => {
    try {
      // Only what was changed is sent: what this form does not know, or may not see, stays.
      const saved = await call("PATCH /applications/{id}", { path: { id: app.id }, ifMatch: from.version, body: changedKeys(from.model, wanted) as Partial<ApplicationInput> });
      client.setQueryData(queries.application(app.id).queryKey, saved);
      setBase({ version: saved.version, model: modelOf(saved) });
      model.reset(modelOf(saved));
      setConflict(null);
      notify({ severity: "success", title: "Settings saved" });
    } catch (e) {
      if (!(e instanceof ApiError) || e.status !== 412) {
        setConflict(null);
        throw e;
      }
      const theirs = await call("GET /applications/{id}", { path: { id: app.id } });
      setConflict({ theirs, merge: merge(from.model, wanted, modelOf(theirs)) });
    }
  };
  const model = useModelForm(settingsShape, base.model, (wanted) => save(wanted, base));
  const { dirty, reset } = model;
  useEffect(() => {
    // Someone else's change shows at once while nothing is edited here.
    if (dirty || app.version <= base.version) return; // an older answer may arrive late
    setBase({ version: app.version, model: modelOf(app) });
    reset(modelOf(app));
  }, [app, base.version, dirty, reset]);
  const resolve = async (merged: Model) => {
    if (!conflict) return;
    const from = { version: conflict.theirs.version, model: modelOf(conflict.theirs) };
    setBase(from);
    model.rebase(from.model, merged);
    await model.send(merged, (wanted) => save(wanted, from));
  };
  const { register, control, formState } = model.form;
  return (
    <Box sx={{ display: "grid", gap: 2, maxWidth: 860 }}>
      <Card title="Settings" action={<ModelSwitch model={model} />}>
        <Box component="form" noValidate onSubmit={(e: React.FormEvent) => void model.submit(e)} sx={{ display: "grid", gap: 2 }}>
          {fromGit && <Alert severity="info">This application is described in the repository, in <code className="df-mono">{placeText({ file: app.manifestPath, line: app.manifestLine }) ?? "its manifest"}</code>. Change it there.</Alert>}
          {!fromGit && !editable && <Alert severity="info">You can read these settings. Changing them needs the right <code className="df-mono">application:update</code>.</Alert>}
          {model.error && <Alert severity="error">{model.error}</Alert>}
          {dirty && app.version > base.version && <Alert severity="info">Somebody saved a newer version while you edit. Saving merges the two and shows you the result first.</Alert>}
          {model.mode === "yaml" ? (
            <ModelYaml model={model} label="Settings as YAML" readOnly={!editable} />
          ) : (
            <Box component="fieldset" disabled={!editable} sx={{ border: 0, p: 0, m: 0, pt: 0.75, minWidth: 0, display: "grid", gap: 2 }}>
              <SettingsFields register={register} control={control} errors={formState.errors} hidden={hidden} node={app.node} />
            </Box>
          )}
          {editable && (
            <Box sx={{ display: "flex", gap: 1 }}>
              <Button type="submit" variant="contained" disabled={!dirty} loading={model.busy}>
                Save
              </Button>
              <Button color="inherit" disabled={!dirty} onClick={() => reset(base.model)}>
                Undo changes
              </Button>
            </Box>
          )}
        </Box>
      </Card>
      <ApprovalsCard app={app} />
      <Identity app={app} />
      {can("application:delete") && !fromGit && <DeleteCard app={app} />}
      {conflict && <ConflictDialog merge={conflict.merge} busy={model.busy} onClose={() => setConflict(null)} onResolve={(m) => void resolve(m)} />}
      <Unsaved dirty={dirty} what={`Your change to the settings of ${app.name}`} />
    </Box>
  );
}
