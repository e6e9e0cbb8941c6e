import { Alert, Box, Button, TextField } from "@mui/material";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useForm } from "react-hook-form";
import { useNavigate, useSearchParams } from "react-router";
import { ApiError, call } from "@/api/client";
import { AuthFrame } from "./AuthFrame";

interface Fields {
  username: string;
  password: string;
}

/** Only a path of this origin is followed after sign-in. */
export function safeNext(next: string | null): string {
  return next && /^\/(?![/\\])/.test(next) && !next.startsWith("/login") ? next : "/applications";
}

function explain(error: unknown): string {
  if (!(error instanceof ApiError)) return String(error);
  if (error.code === "INVALID_CREDENTIALS") return "User name or password is wrong.";
  if (error.code === "RATE_LIMITED") return "Too many attempts. Wait a moment, then try again.";
  return error.message;
}

export default function LoginPage() {
  const [params] = useSearchParams();
  const navigate = useNavigate();
  const client = useQueryClient();
  const [error, setError] = useState<string | null>(null);
  const { register, handleSubmit, formState, setFocus, resetField } = useForm<Fields>();
  const submit = handleSubmit(async (fields) => {
    setError(null);
    try {
      const result = await call("POST /auth/login", { body: fields });
      client.clear();
      void navigate(result.mustChangePassword ? "/change-password" : safeNext(params.get("next")), { replace: true, state: { current: result.mustChangePassword } });
    } catch (e) {
      setError(explain(e));
      resetField("password");
      setFocus("password");
    }
  });
  return (
    <AuthFrame title="Sign in" text={params.get("next") ? "Your session has ended. Sign in to go on where you were." : undefined}>
      <Box component="form" onSubmit={(e: React.FormEvent) => void submit(e)} noValidate sx={{ display: "grid", gap: 2, mt: 2.5 }}>
        {error && <Alert severity="error">{error}</Alert>}
        <TextField
          label="User name or e-mail"
          autoFocus
          error={!!formState.errors.username}
          helperText={formState.errors.username?.message}
          {...register("username", { required: "Enter your user name." })}
          slotProps={{ htmlInput: { autoComplete: "username", autoCapitalize: "none", spellCheck: false } }}
        />
        <TextField
          label="Password"
          type="password"
          error={!!formState.errors.password}
          helperText={formState.errors.password?.message}
          {...register("password", { required: "Enter your password." })}
          slotProps={{ htmlInput: { autoComplete: "current-password" } }}
        />
        <Button type="submit" variant="contained" size="large" loading={formState.isSubmitting}>
          Sign in
        </Button>
      </Box>
    </AuthFrame>
  );
}
