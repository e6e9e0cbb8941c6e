import { Box, FormControlLabel, FormHelperText, MenuItem, Switch, TextField } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import { Controller, type Control, type FieldErrors, type UseFormRegister } from "react-hook-form";
import { queries } from "@/live/queries";
import { ENV_RIGHT, Hidden } from "@/ui/hidden";
import type { Settings } from "./settings";

const mono = { fontFamily: "var(--df-mono)", fontSize: 13 };

const SWITCHES: { name: "automated" | "prune" | "selfHeal"; label: string; hint: string }[] = [
  { name: "automated", label: "Sync automatically", hint: "Every new commit of the branch is deployed as soon as it is seen." },
  { name: "selfHeal", label: "Heal drift", hint: "What is changed or stopped by hand is put back to what the repository describes." },
  { name: "prune", label: "Remove what is no longer described", hint: "Containers and networks of removed services go away. Volumes never do." },
];

/** The part of an application's form that can be edited later too. */
export function SettingsFields<T extends Settings>({ register, control, errors, hidden, node }: { register: UseFormRegister<T>; control: Control<T>; errors: FieldErrors<T>; /** Names of variables whose values are not for this reader. */ hidden?: string[]; /** The present node, which may be none the reader sees. */ node?: { id: string; name: string } | null }) {
  const { data: nodes } = useQuery(queries.nodes());
  const seen = nodes?.items ?? [];
  const listed: { id: string; name: string }[] = node && !seen.some((n) => n.id === node.id) ? [node, ...seen] : seen;
  const reg = register as unknown as UseFormRegister<Settings>;
  const ctl = control as unknown as Control<Settings>;
  const err = errors as FieldErrors<Settings>;
  const text = (name: "branch" | "path" | "environment", label: string, hint?: string) => (
    <TextField label={label} error={!!err[name]} helperText={err[name]?.message ?? hint} slotProps={{ inputLabel: { shrink: true } }} {...reg(name)} />
  );
  return (
    <>
      <Box sx={{ display: "grid", gridTemplateColumns: { xs: "1fr", sm: "1fr 1fr" }, gap: 2 }}>
        {text("branch", "Branch", "Empty: the repository's default branch")}
        {text("path", "Folder", "Where the compose files lie. Empty: the top")}
        <Controller
          control={ctl}
          name="nodeId"
          render={({ field }) => (
            <TextField select label="Node" {...field} value={field.value ?? ""} error={!!err.nodeId} helperText={err.nodeId?.message ?? "The Docker engine it runs on"}>
              {listed.map((n) => (
                <MenuItem key={n.id} value={n.id}>
                  {n.name}
                </MenuItem>
              ))}
            </TextField>
          )}
        />
        {text("environment", "Environment", "Shown with the application, such as production")}
        <TextField label="Compose files" multiline minRows={2} sx={{ gridColumn: { sm: "1 / -1" } }} error={!!err.composeFiles} helperText={err.composeFiles?.message ?? "One a line, later ones override. Empty: found by name"} slotProps={{ input: { sx: mono }, inputLabel: { shrink: true } }} {...reg("composeFiles")} />
      </Box>
      {hidden?.length ? (
        <Box component="section" aria-label="Variables" sx={{ border: "1px solid var(--df-line)", borderRadius: 1, p: 1.5 }}>
          <Box sx={{ fontSize: 12.5, color: "var(--df-muted)", mb: 1 }}>
            Variables. Their values need the right <code className="df-mono">{ENV_RIGHT}</code>; they stay as they are.
          </Box>
          <Box sx={{ display: "grid", gridTemplateColumns: "max-content auto", columnGap: 2, rowGap: 0.5, justifyContent: "start", fontSize: 13 }}>
            {hidden.map((name) => (
              <Box key={name} sx={{ display: "contents" }}>
                <span className="df-mono">{name}</span>
                <Hidden />
              </Box>
            ))}
          </Box>
        </Box>
      ) : (
        <TextField
          label="Variables"
          multiline
          minRows={3}
          error={!!err.variables}
          helperText={err.variables?.message ?? 'NAME=value, one a line; used where the compose file says ${NAME}. A value of several lines goes in quotes: "one\\ntwo"'}
          slotProps={{ input: { sx: mono }, inputLabel: { shrink: true } }}
          {...reg("variables")}
        />
      )}
      <Box sx={{ display: "grid", gap: 1 }}>
        {SWITCHES.map((s) => (
          <Controller
            key={s.name}
            control={ctl}
            name={s.name}
            render={({ field }) => (
              <Box>
                <FormControlLabel control={<Switch checked={field.value} onChange={(e) => field.onChange(e.target.checked)} slotProps={{ input: { "aria-describedby": `${s.name}-hint` } }} />} label={s.label} />
                <FormHelperText id={`${s.name}-hint`} sx={{ mt: 0, ml: 5.75 }}>
                  {err[s.name]?.message ?? s.hint}
                </FormHelperText>
              </Box>
            )}
          />
        ))}
      </Box>
    </>
  );
}
