import { Alert, Box, Button, TextField } from "@mui/material";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useForm } from "react-hook-form";
import { Navigate, useNavigate } from "react-router";
import { ApiError, call, fieldErrors } from "@/api/client";
import { queries } from "@/live/queries";
import { notify } from "@/ui/toasts";
import { AuthFrame } from "./AuthFrame";

interface Fields {
  currentPassword: string;
  newPassword: string;
  repeat: string;
}

const MIN_LENGTH = 12;

export default function ChangePasswordPage() {
  const navigate = useNavigate();
  const client = useQueryClient();
  const { data: me, error: meError } = useQuery(queries.me());
  const [error, setError] = useState<string | null>(null);
  const { register, handleSubmit, formState, setError: setField, getValues } = useForm<Fields>();
  if (meError instanceof ApiError && meError.status === 401) return <Navigate to="/login" replace />;
  const forced = me?.mustChangePassword ?? false;
  const submit = handleSubmit(async ({ currentPassword, newPassword }) => {
    setError(null);
    try {
      await call("POST /auth/change-password", { body: { currentPassword, newPassword } });
      await client.invalidateQueries({ queryKey: ["me"] });
      notify({ severity: "success", title: "Password changed", text: "Your other sessions were signed out." });
      void navigate("/applications", { replace: true });
    } catch (e) {
      const fields = fieldErrors(e);
      for (const f of fields) setField(f.pointer.slice(1) as keyof Fields, { message: f.message });
      if (!fields.length) setError(e instanceof ApiError && e.code === "INVALID_CREDENTIALS" ? "The current password is wrong." : e instanceof Error ? e.message : String(e));
    }
  });
  const field = (name: keyof Fields, label: string, autoComplete: string, rules: object, hint?: string) => (
    <TextField label={label} type="password" error={!!formState.errors[name]} helperText={formState.errors[name]?.message ?? hint} {...register(name, rules)} slotProps={{ htmlInput: { autoComplete } }} />
  );
  return (
    <AuthFrame title={forced ? "Choose your own password" : "Change password"} text={forced ? "The first password was made for you and works only once." : undefined}>
      <Box component="form" onSubmit={(e: React.FormEvent) => void submit(e)} noValidate sx={{ display: "grid", gap: 2, mt: 2.5 }}>
        {error && <Alert severity="error">{error}</Alert>}
        <input type="text" autoComplete="username" value={me?.user.username ?? ""} readOnly hidden />
        {field("currentPassword", "Current password", "current-password", { required: "Enter the current password." })}
        {field("newPassword", "New password", "new-password", { required: "Enter a new password.", minLength: { value: MIN_LENGTH, message: `At least ${MIN_LENGTH} characters.` } }, `At least ${MIN_LENGTH} characters; a sentence is fine.`)}
        {field("repeat", "New password again", "new-password", { validate: (v: string) => v === getValues("newPassword") || "The two entries differ." })}
        <Button type="submit" variant="contained" size="large" loading={formState.isSubmitting}>
          Save password
        </Button>
        {!forced && (
          <Button color="inherit" onClick={() => void navigate(-1)}>
            Cancel
          </Button>
        )}
      </Box>
    </AuthFrame>
  );
}
