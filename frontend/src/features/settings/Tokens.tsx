import { Alert, Box, Button, Checkbox, Dialog, DialogActions, DialogContent, DialogTitle, FormControlLabel, MenuItem, TextField } from "@mui/material";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Copy, KeyRound, Plus } from "lucide-react";
import { useState } from "react";
import { call } from "@/api/client";
import type { ApiToken } from "@/api/types";
import { queries } from "@/live/queries";
import { Card, copyText, RelTime } from "@/ui/atoms";
import { ConfirmDialog } from "@/ui/dialogs";
import { plural } from "@/ui/format";
import { EmptyState, ErrorState, RowsSkeleton } from "@/ui/states";
import { DataTable, type Column } from "@/ui/table";

const DAYS = [7, 30, 90, 365];

function NewToken({ onClose }: { onClose: () => void }) {
  const client = useQueryClient();
  const { data: me } = useQuery(queries.me());
  const [name, setName] = useState("");
  const [days, setDays] = useState(30);
  const [scopes, setScopes] = useState<ReadonlySet<string>>(new Set());
  const [made, setMade] = useState<ApiToken | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const rights = [...new Set(me?.permissions ?? [])].sort();
  const groups = [...new Set(rights.map((r) => r.split(":")[0] ?? r))];
  const toggle = (names: string[], on: boolean) => {
    const next = new Set(scopes);
    for (const n of names) {
      if (on) next.add(n);
      else next.delete(n);
    }
    setScopes(next);
  };
  const create = async () => {
    setBusy(true);
    setError(null);
    try {
      setMade(await call("POST /tokens", { body: { name, scopes: [...scopes], expiresInDays: days } }));
      await client.invalidateQueries({ queryKey: ["tokens"] });
    } catch (e) {
      setError(e instanceof Error ? e.message : String(e));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog open onClose={made ? undefined : onClose} maxWidth="sm" fullWidth>
      <DialogTitle>{made ? "Copy the token now" : "New access token"}</DialogTitle>
      <DialogContent sx={{ display: "grid", gap: 2 }}>
        {error && <Alert severity="error">{error}</Alert>}
        {made ? (
          <>
            <Alert severity="warning">It is shown only this once.</Alert>
            <Box sx={{ display: "flex", gap: 1, alignItems: "center", border: "1px solid var(--df-line)", borderRadius: 1, p: 1.25 }}>
              <Box component="code" className="df-mono" sx={{ flex: 1, overflowWrap: "anywhere" }}>
                {made.token}
              </Box>
              <Button startIcon={<Copy size={14} />} onClick={() => void copyText(made.token ?? "", "Token copied")}>
                Copy
              </Button>
            </Box>
          </>
        ) : (
          <>
            <Box sx={{ display: "grid", gridTemplateColumns: "1fr 160px", gap: 2, mt: 1 }}>
              <TextField label="Name" autoFocus value={name} onChange={(e) => setName(e.target.value)} helperText="What it is for" />
              <TextField select label="Valid for" value={days} onChange={(e) => setDays(Number(e.target.value))}>
                {DAYS.map((d) => (
                  <MenuItem key={d} value={d}>
                    {plural(d, "day")}
                  </MenuItem>
                ))}
              </TextField>
            </Box>
            <Box>
              <Box sx={{ fontWeight: 600, fontSize: 13 }}>Rights</Box>
              <Box sx={{ fontSize: 12.5, color: "var(--df-muted)" }}>Never more than your own, also when your roles change.</Box>
              <Box sx={{ maxHeight: 300, overflow: "auto", mt: 1, border: "1px solid var(--df-line)", borderRadius: 1 }} tabIndex={0} role="group" aria-label="Rights">
                {groups.map((g) => {
                  const own = rights.filter((r) => (r.split(":")[0] ?? r) === g);
                  const on = own.filter((r) => scopes.has(r)).length;
                  return (
                    <Box key={g} sx={{ px: 1.5, py: 0.5, borderBottom: "1px solid var(--df-line)", "&:last-child": { borderBottom: 0 } }}>
                      <FormControlLabel control={<Checkbox checked={on === own.length} indeterminate={on > 0 && on < own.length} onChange={(e) => toggle(own, e.target.checked)} />} label={<strong>{g}</strong>} />
                      <Box sx={{ pl: 3.5, display: "flex", flexWrap: "wrap" }}>
                        {own.length > 1 &&
                          own.map((r) => (
                            <FormControlLabel key={r} sx={{ mr: 2, "& .MuiFormControlLabel-label": { fontSize: 13 } }} control={<Checkbox checked={scopes.has(r)} onChange={(e) => toggle([r], e.target.checked)} />} label={r.split(":")[1] ?? r} />
                          ))}
                      </Box>
                    </Box>
                  );
                })}
              </Box>
            </Box>
          </>
        )}
      </DialogContent>
      <DialogActions>
        {made ? (
          <Button variant="contained" onClick={onClose}>
            I have copied it
          </Button>
        ) : (
          <>
            <Button color="inherit" onClick={onClose}>
              Cancel
            </Button>
            <Button variant="contained" loading={busy} disabled={!name.trim() || !scopes.size} onClick={() => void create()}>
              Create token
            </Button>
          </>
        )}
      </DialogActions>
    </Dialog>
  );
}

export function Tokens() {
  const client = useQueryClient();
  const { data, error, refetch } = useQuery(queries.tokens());
  const [adding, setAdding] = useState(false);
  const [dropping, setDropping] = useState<ApiToken | null>(null);
  if (error && !data) return <ErrorState error={error} what="Tokens could not be loaded" retry={() => void refetch()} />;
  const add = (
    <Button variant="contained" startIcon={<Plus size={16} />} onClick={() => setAdding(true)}>
      New token
    </Button>
  );
  const columns: Column<ApiToken>[] = [
    { id: "name", header: "Name", primary: true, sort: (t) => t.name, cell: (t) => <strong>{t.name}</strong> },
    { id: "prefix", header: "Begins with", width: 150, cell: (t) => <span className="df-mono">{t.prefix}…</span> },
    { id: "scopes", header: "Rights", cell: (t) => <span className="df-ellipsis" title={t.scopes.join(", ")}>{t.scopes.length > 3 ? plural(t.scopes.length, "right") : t.scopes.join(", ")}</span> },
    { id: "used", header: "Last used", width: 130, sort: (t) => t.lastUsedAt ?? "", cell: (t) => <RelTime time={t.lastUsedAt} /> },
    { id: "expires", header: "Expires", width: 130, sort: (t) => t.expiresAt ?? "", cell: (t) => <RelTime time={t.expiresAt} /> },
    { id: "actions", header: "", width: 100, align: "right", cell: (t) => <Button color="error" onClick={() => setDropping(t)}>Revoke</Button> },
  ];
  return (
    <>
      <Card title="Access tokens" action={data?.items.length ? add : undefined} flush>
        {!data ? <RowsSkeleton rows={3} /> : data.items.length ? <DataTable label="Access tokens" columns={columns} rows={data.items} rowKey={(t) => t.id} keys={false} /> : <EmptyState icon={<KeyRound size={28} />} title="No token yet" text="Tokens let scripts and the command line act for you, with as few rights as you choose." action={add} />}
      </Card>
      {adding && <NewToken onClose={() => setAdding(false)} />}
      <ConfirmDialog
        open={!!dropping}
        title={`Revoke ${dropping?.name ?? ""}`}
        verb="Revoke"
        onClose={() => setDropping(null)}
        onConfirm={async () => {
          if (dropping) await call("DELETE /tokens/{id}", { path: { id: dropping.id } });
          await client.invalidateQueries({ queryKey: ["tokens"] });
        }}
      >
        Whatever uses this token is refused within a second. It can't be brought back.
      </ConfirmDialog>
    </>
  );
}
