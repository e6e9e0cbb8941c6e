import { Alert, Box, Button, Dialog, DialogContent, DialogTitle, MenuItem, TextField } from "@mui/material";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useEffect, useState } from "react";
import { Controller, useForm } from "react-hook-form";
import { useNavigate } from "react-router";
import { call } from "@/api/client";
import { queries, useCan } from "@/live/queries";
import { Card } from "@/ui/atoms";
import { applyErrors } from "@/ui/forms/errors";
import { RepositoryForm } from "@/ui/forms/RepositoryForm";
import { PageBody, PageHeader } from "@/ui/page";
import { useScope } from "@/ui/scope";
import { NoPermission } from "@/ui/states";
import { notify } from "@/ui/toasts";
import { inputOf, POINTERS, type Settings } from "./settings";
import { SettingsFields } from "./SettingsFields";

interface Fields extends Settings {
  name: string;
  projectId: string;
  repositoryId: string;
}

const KNOWN = ["name", "projectId", "repositoryId", "branch", "path", "composeFiles", "nodeId", ...Object.keys(POINTERS)];

export default function NewApplicationPage() {
  const navigate = useNavigate();
  const client = useQueryClient();
  const can = useCan();
  const scope = useScope((s) => s.project);
  const { data: projects } = useQuery(queries.projects());
  const { data: repositories } = useQuery(queries.repositories());
  const { data: nodes } = useQuery(queries.nodes());
  const [adding, setAdding] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const { register, control, handleSubmit, formState, setValue, getValues, setError: setField } = useForm<Fields>({
    defaultValues: { name: "", projectId: scope, repositoryId: "", branch: "", path: "", composeFiles: "", nodeId: "", environment: "production", variables: "", automated: true, prune: false, selfHeal: false },
  });
  const firstProject = projects?.items[0]?.id;
  const firstNode = (nodes?.items.find((n) => n.state === "online") ?? nodes?.items[0])?.id;
  useEffect(() => {
    if (firstProject && !getValues("projectId")) setValue("projectId", firstProject);
    if (firstNode && !getValues("nodeId")) setValue("nodeId", firstNode);
  }, [firstProject, firstNode, getValues, setValue]);
  if (!can("application:create")) return <NoPermission permission="application:create" />;

  const submit = handleSubmit(async (fields) => {
    setError(null);
    try {
      const { name, projectId, repositoryId } = fields;
      const made = await call("POST /applications", { body: { name, projectId, repositoryId, ...inputOf(fields) } });
      await client.invalidateQueries({ queryKey: ["applications"] });
      notify({ severity: "success", title: `${made.name} was created`, text: fields.automated ? "Its first sync starts by itself." : "Read the plan, then run it." });
      void navigate(`/applications/${made.id}${fields.automated ? "" : "?sync=open"}`, { replace: true });
    } catch (e) {
      setError(applyErrors(e, (path, err, opt) => setField((POINTERS[path] ?? path) as keyof Fields, err, opt), KNOWN));
    }
  });
  return (
    <PageBody>
      <Box sx={{ maxWidth: 860 }}>
        <PageHeader name="New application" title="New application" crumbs={[{ label: "Applications", to: "/applications" }]} facts={<span>A folder of a repository, kept running on a Docker engine.</span>} />
        <Box component="form" noValidate onSubmit={(e: React.FormEvent) => void submit(e)} sx={{ display: "grid", gap: 2 }}>
          {error && <Alert severity="error">{error}</Alert>}
          <Card title="What">
            <Box sx={{ display: "grid", gridTemplateColumns: { xs: "1fr", sm: "1fr 1fr" }, gap: 2 }}>
              <TextField label="Name" autoFocus error={!!formState.errors.name} helperText={formState.errors.name?.message ?? "Lower-case letters, digits and dashes"} {...register("name", { required: "Enter a name.", pattern: { value: /^[a-z0-9][a-z0-9-]{0,62}$/, message: "Lower-case letters, digits and dashes only." } })} />
              <Controller
                control={control}
                name="projectId"
                rules={{ required: "Choose a project." }}
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
                  rules={{ required: "Choose or connect a repository." }}
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
          <Box sx={{ display: "flex", gap: 1, justifyContent: "flex-end" }}>
            <Button color="inherit" onClick={() => void navigate("/applications")}>
              Cancel
            </Button>
            <Button type="submit" variant="contained" loading={formState.isSubmitting}>
              Create application
            </Button>
          </Box>
        </Box>
      </Box>
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
