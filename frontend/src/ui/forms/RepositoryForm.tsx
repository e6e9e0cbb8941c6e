import { Alert, Box, Button, MenuItem, TextField } from "@mui/material";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { Controller, useForm } from "react-hook-form";
import { call } from "@/api/client";
import type { Repository, RepositoryInput } from "@/api/types";
import { queries } from "@/live/queries";
import { applyErrors } from "./errors";

interface Fields {
  name: string;
  url: string;
  branch: string;
  projectId: string;
  authType: "none" | "token" | "ssh";
  username: string;
  token: string;
  privateKey: string;
  hostKey: string;
  pollSeconds: number;
}

const KNOWN = ["name", "url", "branch", "projectId", "auth", "auth.username", "auth.token", "auth.privateKey", "auth.hostKey", "pollSeconds"] as const;
const FIELD_OF: Record<string, keyof Fields> = { auth: "authType", "auth.username": "username", "auth.token": "token", "auth.privateKey": "privateKey", "auth.hostKey": "hostKey" };

/** "https://host/team/shop.git" to "shop". */
export function nameFromUrl(url: string): string {
  const last = url.replace(/\/+$/, "").split(/[/:]/).pop() ?? "";
  return last.replace(/\.git$/, "").toLowerCase().replace(/[^a-z0-9-]+/g, "-");
}

export function toInput(f: Fields): RepositoryInput {
  const auth: RepositoryInput["auth"] = { type: f.authType };
  if (f.authType === "token") {
    auth.token = f.token;
    if (f.username) auth.username = f.username;
  } else if (f.authType === "ssh") {
    auth.privateKey = f.privateKey.endsWith("\n") ? f.privateKey : `${f.privateKey}\n`;
    auth.hostKey = f.hostKey.trim();
    if (f.username) auth.username = f.username;
  }
  return { name: f.name, url: f.url.trim(), branch: f.branch || undefined, auth, pollSeconds: Number(f.pollSeconds) || undefined, projectId: f.projectId };
}

export function RepositoryForm({ onDone, onCancel }: { onDone: (repository: Repository) => void; onCancel: () => void }) {
  const client = useQueryClient();
  const { data: projects } = useQuery(queries.projects());
  const [error, setError] = useState<string | null>(null);
  const { register, control, handleSubmit, formState, watch, setValue, setError: setField, getValues } = useForm<Fields>({
    defaultValues: { name: "", url: "", branch: "", projectId: "", authType: "none", username: "", token: "", privateKey: "", hostKey: "", pollSeconds: 60 },
  });
  const type = watch("authType");
  const url = watch("url");
  const first = projects?.items[0]?.id;
  useEffect(() => {
    if (first && !getValues("projectId")) setValue("projectId", first);
  }, [first, getValues, setValue]);
  useEffect(() => {
    if (!formState.dirtyFields.name) setValue("name", nameFromUrl(url));
    if (/^(ssh:|[\w.-]+@[\w.-]+:)/.test(url) && getValues("authType") === "none") setValue("authType", "ssh");
  }, [url, formState.dirtyFields.name, getValues, setValue]);
  const submit = handleSubmit(async (fields) => {
    setError(null);
    try {
      const made = await call("POST /repositories", { body: toInput(fields) });
      await client.invalidateQueries({ queryKey: ["repositories"] });
      onDone(made);
    } catch (e) {
      setError(applyErrors(e, (path, err) => setField((FIELD_OF[path] ?? path) as keyof Fields, err), KNOWN));
    }
  });
  const text = (name: keyof Fields, label: string, rules: object = {}, hint?: string, more: object = {}) => (
    <TextField label={label} error={!!formState.errors[name]} helperText={formState.errors[name]?.message ?? hint} slotProps={{ inputLabel: { shrink: true } }} {...register(name, rules)} {...more} />
  );
  return (
    <Box
      component="form"
      noValidate
      onSubmit={(e: React.FormEvent) => {
        e.stopPropagation();
        void submit(e);
      }}
      sx={{ display: "grid", gap: 2 }}
    >
      {error && <Alert severity="error">{error}</Alert>}
      {text("url", "Address", { required: "Enter the address Git clones from." }, "https://… or git@host:path", { autoFocus: true })}
      <Box sx={{ display: "grid", gridTemplateColumns: { xs: "1fr", sm: "1fr 1fr" }, gap: 2 }}>
        {text("name", "Name", { required: "Enter a name." })}
        {text("branch", "Default branch", {}, "Empty: the repository's own")}
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
        {text("pollSeconds", "Look for commits every", { min: { value: 10, message: "At least 10 seconds." } }, "Seconds; a webhook makes it immediate", { type: "number" })}
        <Controller
          control={control}
          name="authType"
          render={({ field }) => (
            <TextField select label="Access" {...field}>
              <MenuItem value="none">Public</MenuItem>
              <MenuItem value="token">Token over https</MenuItem>
              <MenuItem value="ssh">SSH key</MenuItem>
            </TextField>
          )}
        />
        {type !== "none" && text("username", "User name", {}, type === "ssh" ? "Usually git" : "Optional for most hosts", { autoComplete: "off" })}
      </Box>
      {type === "token" && text("token", "Token", { required: "Enter the token." }, "Stored encrypted, never shown again", { type: "password", autoComplete: "new-password" })}
      {type === "ssh" && (
        <>
          {text("privateKey", "Private key", { required: "Paste the private key." }, "OpenSSH format, without a pass phrase. Stored encrypted, never shown again", { multiline: true, minRows: 4, slotProps: { inputLabel: { shrink: true }, input: { sx: { fontFamily: "var(--df-mono)", fontSize: 12.5 } } } })}
          {text("hostKey", "Host key", { required: "Paste the server's host key." }, "One line of ssh-keyscan: the server must show exactly this key", { multiline: true, slotProps: { inputLabel: { shrink: true }, input: { sx: { fontFamily: "var(--df-mono)", fontSize: 12.5 } } } })}
        </>
      )}
      <Box sx={{ display: "flex", gap: 1, justifyContent: "flex-end" }}>
        <Button color="inherit" onClick={onCancel}>
          Cancel
        </Button>
        <Button type="submit" variant="contained" loading={formState.isSubmitting}>
          Connect repository
        </Button>
      </Box>
    </Box>
  );
}
