import { Alert, Box, Button, MenuItem, TextField } from "@mui/material";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { Controller } from "react-hook-form";
import { call } from "@/api/client";
import type { Repository, RepositoryInput } from "@/api/types";
import { queries } from "@/live/queries";
import { headed, partOf, put, textOf, withValue, type Model } from "./merge";
import { ModelSwitch, ModelYaml } from "./ModelSwitch";
import { useModelForm, type Shape } from "./useModelForm";

interface Fields {
  name: string;
  url: string;
  branch: string;
  projectId: string;
  authType: string;
  username: string;
  token: string;
  privateKey: string;
  hostKey: string;
  pollSeconds: string;
}

/** "https://host/team/shop.git" to "shop". */
export function nameFromUrl(url: string): string {
  const last = url.replace(/\/+$/, "").split(/[/:]/).pop() ?? "";
  return last.replace(/\.git$/, "").toLowerCase().replace(/[^a-z0-9-]+/g, "-");
}

/** What belongs to a kind of access; an empty secret is one that is still to be entered. */
function authOf(f: Fields, old: Model): Model {
  const { type: _t, username: _u, token: _s, privateKey: _k, hostKey: _h, ...rest } = old;
  const user = f.username ? { username: f.username } : {};
  if (f.authType === "token") return { type: "token", ...user, token: f.token, ...rest };
  const key = f.privateKey && !f.privateKey.endsWith("\n") ? `${f.privateKey}\n` : f.privateKey;
  return f.authType === "ssh" ? { type: "ssh", ...user, privateKey: key, hostKey: f.hostKey.trim(), ...rest } : { type: f.authType, ...rest };
}

export const repositoryShape: Shape<Fields> = {
  schema: "RepositoryCreate",
  toFields: (m) => {
    const auth = partOf(m.auth);
    return {
      name: textOf(m.name),
      url: textOf(m.url),
      branch: textOf(m.branch),
      projectId: textOf(m.projectId),
      authType: textOf(auth.type) || "none",
      username: textOf(auth.username),
      token: textOf(auth.token),
      privateKey: textOf(auth.privateKey),
      hostKey: textOf(auth.hostKey),
      pollSeconds: m.pollSeconds === undefined ? "" : String(m.pollSeconds),
    };
  },
  toModel: (f, base) => {
    const branch = f.branch.trim();
    let m = put(headed({ name: f.name.trim(), url: f.url.trim(), projectId: f.projectId }, base), ["branch"], branch, !branch);
    m = put(m, ["auth"], authOf(f, partOf(base.auth)), f.authType === "none");
    return withValue(m, ["pollSeconds"], f.pollSeconds.trim() ? Number(f.pollSeconds) : undefined);
  },
  fields: {
    "/name": "name",
    "/url": "url",
    "/branch": "branch",
    "/projectId": "projectId",
    "/auth": "authType",
    "/auth/username": "username",
    "/auth/token": "token",
    "/auth/privateKey": "privateKey",
    "/auth/hostKey": "hostKey",
    "/pollSeconds": "pollSeconds",
  },
  check: (f) => ({ pollSeconds: /^\d*$/.test(f.pollSeconds.trim()) ? undefined : "Enter whole seconds." }),
  words: {
    "required /name": "Enter a name.",
    "required /url": "Enter the address Git clones from.",
    "required /projectId": "Choose a project.",
    "min /auth/token": "Enter the token.",
    "min /auth/privateKey": "Paste the private key.",
    "min /auth/hostKey": "Paste the server's host key.",
  },
};

export function RepositoryForm({ onDone, onCancel }: { onDone: (repository: Repository) => void; onCancel: () => void }) {
  const client = useQueryClient();
  const { data: projects } = useQuery(queries.projects());
  const model = useModelForm(repositoryShape, { pollSeconds: 60 }, async (body) => {
    const made = await call("POST /repositories", { body: body as unknown as RepositoryInput });
    await client.invalidateQueries({ queryKey: ["repositories"] });
    onDone(made);
  });
  const { register, control, formState, watch, setValue, getValues } = model.form;
  const { preset } = model;
  const type = watch("authType");
  const url = watch("url");
  const first = projects?.items[0]?.id;
  useEffect(() => {
    if (first && !getValues("projectId")) preset({ projectId: first });
  }, [first, getValues, preset]);
  const guessed = useRef("");
  useEffect(() => {
    // The name follows the address until somebody gives one.
    if (getValues("name") === guessed.current) setValue("name", (guessed.current = nameFromUrl(url)));
    if (/^(ssh:|[\w.-]+@[\w.-]+:)/.test(url) && getValues("authType") === "none") setValue("authType", "ssh");
  }, [url, getValues, setValue]);
  const text = (name: keyof Fields, label: string, hint?: string, more: object = {}) => (
    <TextField label={label} error={!!formState.errors[name]} helperText={formState.errors[name]?.message ?? hint} slotProps={{ inputLabel: { shrink: true } }} {...register(name)} {...more} />
  );
  return (
    <Box
      component="form"
      noValidate
      onSubmit={(e: React.FormEvent) => void model.submit(e)}
      sx={{ display: "grid", gap: 2 }}
    >
      <Box sx={{ justifySelf: "end" }}>
        <ModelSwitch model={model} />
      </Box>
      {model.error && <Alert severity="error">{model.error}</Alert>}
      {model.mode === "yaml" ? (
        <ModelYaml model={model} label="Repository as YAML" />
      ) : (
        <>
      {text("url", "Address", "https://… or git@host:path", { autoFocus: true })}
      <Box sx={{ display: "grid", gridTemplateColumns: { xs: "1fr", sm: "1fr 1fr" }, gap: 2 }}>
        {text("name", "Name")}
        {text("branch", "Default branch", "Empty: the repository's own")}
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
        {text("pollSeconds", "Look for commits every", "Seconds; a webhook makes it immediate", { type: "number" })}
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
        {type !== "none" && text("username", "User name", type === "ssh" ? "Usually git" : "Optional for most hosts", { autoComplete: "off" })}
      </Box>
      {type === "token" && text("token", "Token", "Stored encrypted, never shown again", { type: "password", autoComplete: "new-password" })}
      {type === "ssh" && (
        <>
          {text("privateKey", "Private key", "OpenSSH format, without a pass phrase. Stored encrypted, never shown again", { multiline: true, minRows: 4, slotProps: { inputLabel: { shrink: true }, input: { sx: { fontFamily: "var(--df-mono)", fontSize: 12.5 } } } })}
          {text("hostKey", "Host key", "One line of ssh-keyscan: the server must show exactly this key", { multiline: true, slotProps: { inputLabel: { shrink: true }, input: { sx: { fontFamily: "var(--df-mono)", fontSize: 12.5 } } } })}
        </>
      )}
        </>
      )}
      <Box sx={{ display: "flex", gap: 1, justifyContent: "flex-end" }}>
        <Button color="inherit" onClick={onCancel}>
          Cancel
        </Button>
        <Button type="submit" variant="contained" loading={model.busy}>
          Connect repository
        </Button>
      </Box>
    </Box>
  );
}
