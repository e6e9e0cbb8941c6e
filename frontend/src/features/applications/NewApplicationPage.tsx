import { Alert, Box, Button, Dialog, DialogContent, DialogTitle, MenuItem, TextField } from "@mui/material";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { Controller } from "react-hook-form";
import { useNavigate } from "react-router";
import { call } from "@/api/client";
import type { ApplicationInput } from "@/api/types";
import { queries, useCan } from "@/live/queries";
import { Card } from "@/ui/atoms";
import { ModelSwitch, ModelYaml } from "@/ui/forms/ModelSwitch";
import { RepositoryForm } from "@/ui/forms/RepositoryForm";
import { Unsaved } from "@/ui/forms/Unsaved";
import { useModelForm } from "@/ui/forms/useModelForm";
import { PageBody, PageHeader } from "@/ui/page";
import { useScope } from "@/ui/scope";
import { NoPermission } from "@/ui/states";
import { notify } from "@/ui/toasts";
import { newShape } from "./settings";
import { SettingsFields } from "./SettingsFields";

const EMPTY = { environment: { name: "production" }, syncPolicy: { automated: true } };

export default function NewApplicationPage() {
  const navigate = useNavigate();
  const client = useQueryClient();
  const can = useCan();
  const scope = useScope((s) => s.project);
  const { data: projects } = useQuery(queries.projects());
  const { data: repositories } = useQuery(queries.repositories());
  const { data: nodes } = useQuery(queries.nodes());
  const [adding, setAdding] = useState(false);
  const leaving = useRef(false);
  const model = useModelForm(newShape, { ...EMPTY, ...(scope ? { projectId: scope } : {}) }, async (body) => {
    const made = await call("POST /applications", { body: body as unknown as ApplicationInput });
    await client.invalidateQueries({ queryKey: ["applications"] });
    leaving.current = true;
    const { automated } = made.syncPolicy;
    notify({ severity: "success", title: `${made.name} was created`, text: automated ? "Its first sync starts by itself." : "Read the plan, then run it." });
    void navigate(`/applications/${made.id}${automated ? "" : "?sync=open"}`, { replace: true });
  });
  const { register, control, formState, setValue, getValues } = model.form;
  const { preset } = model;
  const firstProject = projects?.items[0]?.id;
  const firstNode = (nodes?.items.find((n) => n.state === "online") ?? nodes?.items[0])?.id;
  useEffect(() => {
    // What is chosen for the user is no change of the user's.
    const add = { ...(firstProject && !getValues("projectId") ? { projectId: firstProject } : {}), ...(firstNode && !getValues("nodeId") ? { nodeId: firstNode } : {}) };
    if (Object.keys(add).length) preset(add);
  }, [firstProject, firstNode, getValues, preset]);
  if (!can("application:create")) return <NoPermission permission="application:create" />;

  return (
    <PageBody>
      <Box sx={{ maxWidth: 860 }}>
        <PageHeader name="New application" title="New application" crumbs={[{ label: "Applications", to: "/applications" }]} facts={<span>A folder of a repository, kept running on a Docker engine.</span>} actions={<ModelSwitch model={model} />} />
        <Box component="form" noValidate onSubmit={(e: React.FormEvent) => void model.submit(e)} sx={{ display: "grid", gap: 2 }}>
          {model.error && <Alert severity="error">{model.error}</Alert>}
          {model.mode === "yaml" ? (
            <Card title="Application as YAML">
              <ModelYaml model={model} label="Application as YAML" />
            </Card>
          ) : (
          <>
          <Card title="What">
            <Box sx={{ display: "grid", gridTemplateColumns: { xs: "1fr", sm: "1fr 1fr" }, gap: 2 }}>
              <TextField label="Name" autoFocus error={!!formState.errors.name} helperText={formState.errors.name?.message ?? "Lower-case letters, digits and dashes"} {...register("name")} />
              <Controller
                control={control}
                name="projectId"
                render={({ field, fieldState }) => (
                  <TextField select label="Project" {...field} error={!!fieldState.error} helperText={fieldState.error?.message}>
                    {(projects?.items ?? []).map((p) => (
                      <MenuItem key={p.id} value={p.id}>
                        {p.displayName || p.name}
                      </MenuItem>
                    ))}
                  </TextField>
                )}
              />
              <Box sx={{ gridColumn: { sm: "1 / -1" }, display: "flex", gap: 1, alignItems: "flex-start" }}>
                <Controller
                  control={control}
                  name="repositoryId"
                  render={({ field, fieldState }) => (
                    <TextField select label="Repository" {...field} error={!!fieldState.error} helperText={fieldState.error?.message} slotProps={{ select: { renderValue: (id) => repositories?.items.find((r) => r.id === id)?.name ?? "" } }}>
                      {(repositories?.items ?? []).map((r) => (
                        <MenuItem key={r.id} value={r.id}>
                          {r.name}
                          <Box component="span" sx={{ color: "var(--df-muted)", ml: 1.5, fontSize: 13 }} className="df-ellipsis">
                            {r.url}
                          </Box>
                        </MenuItem>
                      ))}
                    </TextField>
                  )}
                />
                {can("repository:create") && (
                  <Button variant="outlined" startIcon={<Plus size={15} />} onClick={() => setAdding(true)} sx={{ minHeight: 40, flex: "none" }}>
                    Connect another
                  </Button>
                )}
              </Box>
            </Box>
          </Card>
          <Card title="How">
            <Box sx={{ display: "grid", gap: 2 }}>
              <SettingsFields register={register} control={control} errors={formState.errors} />
            </Box>
          </Card>
          </>
          )}
          <Box sx={{ display: "flex", gap: 1, justifyContent: "flex-end" }}>
            <Button color="inherit" onClick={() => void navigate("/applications")}>
              Cancel
            </Button>
            <Button type="submit" variant="contained" loading={model.busy}>
              Create application
            </Button>
          </Box>
        </Box>
      </Box>
      <Unsaved dirty={model.dirty} what="The new application" leaving={leaving} />
      <Dialog open={adding} onClose={() => setAdding(false)} maxWidth="sm" fullWidth>
        <DialogTitle>Connect a repository</DialogTitle>
        <DialogContent>
          <Box sx={{ pt: 1 }}>
            <RepositoryForm
              onCancel={() => setAdding(false)}
              onDone={(r) => {
                setValue("repositoryId", r.id, { shouldValidate: true });
                setAdding(false);
              }}
            />
          </Box>
        </DialogContent>
      </Dialog>
    </PageBody>
  );
}
