import { Alert, Box, Button, Dialog, DialogActions, DialogContent, DialogTitle, IconButton, MenuItem, TextField, Tooltip } from "@mui/material";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Plus, X } from "lucide-react";
import { useState } from "react";
import { useForm } from "react-hook-form";
import { call } from "@/api/client";
import type { RoleBinding, User } from "@/api/types";
import { queries, useCan } from "@/live/queries";
import { Card, Facts, Id, RelTime } from "@/ui/atoms";
import { FilterField, matches } from "@/ui/filter";
import { applyErrors } from "@/ui/forms/errors";
import { Peek } from "@/ui/peek";
import { ErrorState, RowsSkeleton } from "@/ui/states";
import { StatusChip } from "@/ui/status";
import { DataTable, type Column } from "@/ui/table";
import { notifyError } from "@/ui/toasts";
import { useUrlState } from "@/ui/url";

interface Fields {
  username: string;
  email: string;
  fullName: string;
  password: string;
}

function AddUser({ onClose }: { onClose: () => void }) {
  const client = useQueryClient();
  const [error, setError] = useState<string | null>(null);
  const { register, handleSubmit, formState, setError: setField } = useForm<Fields>();
  const submit = handleSubmit(async (fields) => {
    setError(null);
    try {
      await call("POST /users", { body: fields });
      await client.invalidateQueries({ queryKey: ["users"] });
      onClose();
    } catch (e) {
      setError(applyErrors(e, (path, err) => setField(path as keyof Fields, err), ["username", "email", "fullName", "password"]));
    }
  });
  const text = (name: keyof Fields, label: string, rules: object, more: object = {}, hint?: string) => <TextField label={label} error={!!formState.errors[name]} helperText={formState.errors[name]?.message ?? hint} {...register(name, rules)} {...more} />;
  return (
    <Dialog open onClose={onClose} maxWidth="xs" fullWidth>
      <Box component="form" noValidate onSubmit={(e: React.FormEvent) => void submit(e)}>
        <DialogTitle>New user</DialogTitle>
        <DialogContent sx={{ display: "grid", gap: 2 }}>
          {error && <Alert severity="error">{error}</Alert>}
          {text("username", "User name", { required: "Enter a user name." }, { autoFocus: true, sx: { mt: 1 }, autoComplete: "off" })}
          {text("fullName", "Full name", {})}
          {text("email", "E-mail", { required: "Enter an e-mail address." }, { type: "email" })}
          {text("password", "First password", { required: "Enter a password.", minLength: { value: 12, message: "At least 12 characters." } }, { type: "password", autoComplete: "new-password" }, "Has to be changed at the first sign-in")}
        </DialogContent>
        <DialogActions>
          <Button color="inherit" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" variant="contained" loading={formState.isSubmitting}>
            Create user
          </Button>
        </DialogActions>
      </Box>
    </Dialog>
  );
}

function Bindings({ user }: { user: User }) {
  const client = useQueryClient();
  const can = useCan();
  const { data: bindings } = useQuery(queries.bindings());
  const { data: roles } = useQuery(queries.roles());
  const { data: me } = useQuery(queries.me());
  const [role, setRole] = useState("");
  const [scope, setScope] = useState("");
  const [busy, setBusy] = useState(false);
  const scopes = me?.scopes ?? [];
  const own = (bindings?.items ?? []).filter((b) => b.subjectKind === "user" && b.subjectId === user.id);
  const name = (b: RoleBinding) => {
    const s = scopes.find((x) => x.scopeId === b.scopeId);
    return b.scopeName ? `${b.scopeKind ?? ""} ${b.scopeName}` : s ? `${s.kind} ${s.name}` : b.scopeId.slice(0, 12);
  };
  const change = async (what: string, action: () => Promise<unknown>) => {
    setBusy(true);
    try {
      await action();
      await client.invalidateQueries({ queryKey: ["bindings"] });
    } catch (e) {
      notifyError(what, e);
    } finally {
      setBusy(false);
    }
  };
  const add = () => change("The role was not given", () => call("POST /role-bindings", { body: { subjectKind: "user", subjectId: user.id, role, scopeId: scope || (scopes[0]?.scopeId ?? "") } }));
  const drop = (b: RoleBinding) => change("The role was not taken", () => call("DELETE /role-bindings/{id}", { path: { id: b.id } }));
  return (
    <Box sx={{ display: "grid", gap: 1 }}>
      <Box sx={{ fontWeight: 600 }}>Roles</Box>
      {own.map((b) => (
        <Box key={b.id} sx={{ display: "flex", alignItems: "center", gap: 1, border: "1px solid var(--df-line)", borderRadius: 1, px: 1.5, minHeight: 40, fontSize: 13.5 }}>
          <strong>{b.role}</strong>
          <Box component="span" sx={{ color: "var(--df-muted)" }}>
            on {name(b)} and below
          </Box>
          <Box sx={{ flex: 1 }} />
          {can("binding:delete") && (
            <Tooltip title="Take this role">
              <IconButton aria-label={`Take the role ${b.role}`} disabled={busy} onClick={() => void drop(b)}>
                <X size={15} />
              </IconButton>
            </Tooltip>
          )}
        </Box>
      ))}
      {bindings && !own.length && <Box sx={{ fontSize: 13, color: "var(--df-muted)" }}>No role: this user may sign in and see nothing.</Box>}
      {can("binding:create") && (
        <Box sx={{ display: "grid", gridTemplateColumns: "1fr 1fr auto", gap: 1, mt: 1 }}>
          <TextField select label="Role" value={role} onChange={(e) => setRole(e.target.value)}>
            {(roles?.items ?? []).map((r) => (
              <MenuItem key={r.id} value={r.name}>
                {r.name}
              </MenuItem>
            ))}
          </TextField>
          <TextField select label="On" value={scope || (scopes[0]?.scopeId ?? "")} onChange={(e) => setScope(e.target.value)}>
            {scopes.map((s) => (
              <MenuItem key={s.scopeId} value={s.scopeId}>
                {s.kind} {s.name}
              </MenuItem>
            ))}
          </TextField>
          <Button variant="outlined" disabled={!role || busy} onClick={() => void add()} sx={{ minHeight: 40 }}>
            Give
          </Button>
        </Box>
      )}
    </Box>
  );
}

const columns: Column<User>[] = [
  { id: "username", header: "User name", primary: true, sort: (u) => u.username, cell: (u) => <strong>{u.username}</strong> },
  { id: "fullName", header: "Name", sort: (u) => u.fullName, cell: (u) => u.fullName },
  { id: "email", header: "E-mail", sort: (u) => u.email, cell: (u) => u.email },
  { id: "active", header: "State", width: 130, sort: (u) => Number(!u.active), cell: (u) => <StatusChip status={u.active ? "user:active" : "user:disabled"} /> },
  { id: "last", header: "Last sign-in", width: 140, sort: (u) => u.lastLoginAt ?? "", cell: (u) => <RelTime time={u.lastLoginAt} /> },
];

export function Users() {
  const client = useQueryClient();
  const can = useCan();
  const { data, error, refetch } = useQuery(queries.users());
  const [q, setQ] = useUrlState("q");
  const [open, setOpen] = useUrlState("user");
  const [adding, setAdding] = useState(false);
  if (error && !data) return <ErrorState error={error} what="Users could not be loaded" retry={() => void refetch()} />;
  const all = data?.items ?? [];
  const user = all.find((u) => u.id === open);
  const setActive = async (u: User) => {
    try {
      await call("PATCH /users/{id}", { path: { id: u.id }, ifMatch: u.version, body: { active: !u.active } });
      await client.invalidateQueries({ queryKey: ["users"] });
    } catch (e) {
      notifyError("The user was not changed", e);
    }
  };
  return (
    <>
      <Box sx={{ display: "flex", gap: 1, mb: 2, flexWrap: "wrap", justifyContent: "space-between" }}>
        <FilterField value={q} onChange={setQ} label="Filter users" />
        {can("user:create") && (
          <Button variant="contained" startIcon={<Plus size={16} />} onClick={() => setAdding(true)}>
            New user
          </Button>
        )}
      </Box>
      <Card flush>{data ? <DataTable label="Users" columns={columns} rows={all.filter((u) => !q || matches(q, u.username, u.fullName, u.email))} rowKey={(u) => u.id} selected={open} defaultSort="username" onOpen={(u) => setOpen(u.id)} /> : <RowsSkeleton rows={4} />}</Card>
      {user && (
        <Peek open title={user.username} onClose={() => setOpen("")} chips={<StatusChip status={user.active ? "user:active" : "user:disabled"} />}>
          <Box sx={{ p: 2, display: "grid", gap: 2.5 }}>
            <Facts
              rows={[
                ["Id", <Id key="i" value={user.id} label="user id" />],
                ["Name", user.fullName || "none"],
                ["E-mail", user.email],
                ["Second factor", user.mfaEnabled ? "on" : "off"],
                ["Last sign-in", <RelTime key="l" time={user.lastLoginAt} />],
                ["Created", <RelTime key="c" time={user.createdAt} />],
              ]}
            />
            <Bindings user={user} />
            {can("user:update") && (
              <Box>
                <Button variant="outlined" color={user.active ? "error" : "inherit"} onClick={() => void setActive(user)}>
                  {user.active ? "Disable user" : "Enable user"}
                </Button>
              </Box>
            )}
          </Box>
        </Peek>
      )}
      {adding && <AddUser onClose={() => setAdding(false)} />}
    </>
  );
}
