import { Alert, Box, Button, Dialog, DialogContent, DialogTitle } from "@mui/material";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Copy, GitBranch, Plus } from "lucide-react";
import { useState } from "react";
import { useNavigate } from "react-router";
import { call } from "@/api/client";
import type { Repository } from "@/api/types";
import { queries, useCan, useTopics } from "@/live/queries";
import { copyText, Facts, Id, Middle, RelTime } from "@/ui/atoms";
import { ConfirmDialog } from "@/ui/dialogs";
import { FilterField, matches } from "@/ui/filter";
import { plural } from "@/ui/format";
import { RepositoryForm } from "@/ui/forms/RepositoryForm";
import { PageBody, PageHeader } from "@/ui/page";
import { Peek } from "@/ui/peek";
import { EmptyState, ErrorState, RowsSkeleton } from "@/ui/states";
import { severity, StatusChip } from "@/ui/status";
import { DataTable, type Column } from "@/ui/table";
import { useAction } from "@/ui/tasks";
import { notifyError } from "@/ui/toasts";
import { useUrlState } from "@/ui/url";

const AUTH = { none: "public", token: "token", ssh: "SSH key" };

const columns: Column<Repository>[] = [
  { id: "name", header: "Name", primary: true, sort: (r) => r.name, cell: (r) => <Box component="span" sx={{ fontWeight: 600 }}>{r.name}</Box> },
  { id: "state", header: "State", primary: true, width: 110, sort: (r) => severity(r.state), cell: (r) => <StatusChip status={r.state} title={r.error?.message} /> },
  { id: "url", header: "Address", sort: (r) => r.url, cell: (r) => <span className="df-mono"><Middle text={r.url} max={52} /></span> },
  { id: "auth", header: "Access", width: 100, sort: (r) => r.authType, cell: (r) => AUTH[r.authType] ?? r.authType },
  { id: "commit", header: "Newest commit", width: 140, cell: (r) => (r.lastCommit ? <Id value={r.lastCommit} label="commit" /> : "none") },
  { id: "webhook", header: "Webhook", width: 110, sort: (r) => Number(r.webhookSecretSet), cell: (r) => (r.webhookSecretSet ? "set up" : "not set up") },
  { id: "polled", header: "Looked at", width: 120, sort: (r) => r.lastPolledAt ?? "", cell: (r) => <RelTime time={r.lastPolledAt} /> },
];

function CopyLine({ label, value }: { label: string; value: string }) {
  return (
    <Box sx={{ display: "flex", alignItems: "center", gap: 1, border: "1px solid var(--df-line)", borderRadius: 1, px: 1.25, py: 0.5, minWidth: 0 }}>
      <Box sx={{ color: "var(--df-muted)", fontSize: 12.5, flex: "none" }}>{label}</Box>
      <Box component="code" className="df-mono df-ellipsis" sx={{ flex: 1 }}>
        {value}
      </Box>
      <Button sx={{ minWidth: 0 }} aria-label={`Copy ${label}`} onClick={() => void copyText(value)}>
        <Copy size={14} />
      </Button>
    </Box>
  );
}

function RepositoryPeek({ repository: r, onClose }: { repository: Repository; onClose: () => void }) {
  const can = useCan();
  const client = useQueryClient();
  const { busy, run } = useAction();
  const [test, setTest] = useState<{ ok: boolean; text: string } | null>(null);
  const [secret, setSecret] = useState<string | null>(null);
  const [dialog, setDialog] = useState<"" | "secret" | "delete">("");
  const { data: apps } = useQuery(queries.applications());
  const users = (apps?.items ?? []).filter((a) => a.repository.id === r.id);
  const runTest = async () => {
    try {
      const result = await call("POST /repositories/{id}/test", { path: { id: r.id } });
      setTest({ ok: result.ok, text: result.ok ? "The repository can be read." : (result.error?.message ?? "The repository can't be read.") });
    } catch (e) {
      notifyError(`Test of ${r.name} failed`, e);
    }
  };
  const newSecret = async () => {
    const made = await call("POST /repositories/{id}/webhook-secret", { path: { id: r.id } });
    setSecret(made.secret);
    await client.invalidateQueries({ queryKey: ["repositories"] });
  };
  const hook = r.webhookUrl?.startsWith("/") ? location.origin + r.webhookUrl : r.webhookUrl;
  return (
    <Peek open onClose={onClose} width={580} title={r.name} chips={<StatusChip status={r.state} />}>
      <Box sx={{ p: 2, display: "grid", gap: 2.5 }}>
        {r.error && (
          <Alert severity="error">
            <strong>{r.error.code}</strong> {r.error.message}
          </Alert>
        )}
        <Facts
          rows={[
            ["Address", <span key="u" className="df-mono">{r.url}</span>],
            ["Access", `${AUTH[r.authType] ?? r.authType}${r.hasCredentials ? ", stored encrypted" : ""}`],
            ["Newest commit", r.lastCommit ? <Id key="c" value={r.lastCommit} label="commit" /> : "none"],
            ["Looked at", <RelTime key="p" time={r.lastPolledAt} />],
            ["Interval", r.pollSeconds ? `${r.pollSeconds} s` : "never"],
            ["Used by", users.length ? users.map((a) => a.name).join(", ") : "no application"],
          ]}
        />
        {test && <Alert severity={test.ok ? "success" : "error"}>{test.text}</Alert>}
        <Box sx={{ display: "flex", gap: 1, flexWrap: "wrap" }}>
          <Button variant="outlined" onClick={() => void runTest()}>
            Test access
          </Button>
          <Button variant="outlined" loading={busy !== null} onClick={() => void run(`Look at ${r.name}`, () => call("POST /repositories/{id}/refresh", { path: { id: r.id } }))}>
            Look for commits now
          </Button>
          {can("repository:delete") && (
            <Button variant="outlined" color="error" onClick={() => setDialog("delete")}>
              Delete
            </Button>
          )}
        </Box>
        <Box sx={{ display: "grid", gap: 1 }}>
          <Box sx={{ fontWeight: 600 }}>Webhook</Box>
          <Box sx={{ fontSize: 13, color: "var(--df-muted)" }}>With a webhook a push is deployed at once instead of at the next look. Requests are accepted only with a valid signature.</Box>
          {hook && <CopyLine label="Address" value={hook} />}
          {secret && (
            <>
              <CopyLine label="Secret" value={secret} />
              <Alert severity="warning">The secret is shown only now.</Alert>
            </>
          )}
          {can("repository:update") && (
            <Box>
              <Button variant="outlined" onClick={() => (r.webhookSecretSet ? setDialog("secret") : void newSecret().catch((e: unknown) => notifyError("No secret was made", e)))}>
                {r.webhookSecretSet ? "Replace secret" : "Make secret"}
              </Button>
            </Box>
          )}
        </Box>
        <ConfirmDialog open={dialog === "secret"} title="Replace the webhook secret" verb="Replace" danger={false} onClose={() => setDialog("")} onConfirm={newSecret}>
          Pushes signed with the present secret are refused from then on. Put the new one into the forge's webhook settings.
        </ConfirmDialog>
        <ConfirmDialog
          open={dialog === "delete"}
          title={`Delete ${r.name}`}
          name={r.name}
          verb="Delete"
          onClose={() => setDialog("")}
          onConfirm={async () => {
            await call("DELETE /repositories/{id}", { path: { id: r.id }, ifMatch: r.version });
            await client.invalidateQueries({ queryKey: ["repositories"] });
            onClose();
          }}
        >
          DockFlow forgets the repository and its credentials. {users.length ? `Still used by ${users.map((a) => a.name).join(", ")}; the server refuses while that is so.` : "No application uses it."}
        </ConfirmDialog>
      </Box>
    </Peek>
  );
}

export default function RepositoriesPage() {
  const { data, error, refetch } = useQuery(queries.repositories());
  const [q, setQ] = useUrlState("q");
  const [open, setOpen] = useUrlState("repository");
  const [adding, setAdding] = useUrlState("new");
  const can = useCan();
  const navigate = useNavigate();
  useTopics(["repository.status", "repository.deleted"]);
  const all = data?.items ?? [];
  const found = all.filter((r) => !q || matches(q, r.name, r.url));
  const chosen = all.find((r) => r.id === open);
  const add = can("repository:create") && (
    <Button variant="contained" startIcon={<Plus size={16} />} onClick={() => setAdding("1")}>
      Connect repository
    </Button>
  );
  return (
    <PageBody>
      <PageHeader title="Repositories" name="Repositories" actions={add} facts={data && <span>{plural(all.length, "repository", "repositories")}</span>} />
      {error && !data ? (
        <ErrorState error={error} what="Repositories could not be loaded" retry={() => void refetch()} />
      ) : !data ? (
        <RowsSkeleton rows={5} />
      ) : !all.length ? (
        <EmptyState icon={<GitBranch size={30} />} title="No repository connected" text="A repository holds the compose files your applications are described by." action={add} command="dsctl create repository --url https://git.example.org/team/shop.git" />
      ) : (
        <>
          <Box sx={{ mb: 2 }}>
            <FilterField value={q} onChange={setQ} label="Filter repositories" />
          </Box>
          <Box sx={{ border: "1px solid var(--df-line)", borderRadius: 1, overflow: "hidden", backgroundColor: "var(--df-surface)" }}>
            <DataTable label="Repositories" columns={columns} rows={found} rowKey={(r) => r.id} kind="repository" selected={open} defaultSort="name" onOpen={(r) => setOpen(r.id)} />
          </Box>
        </>
      )}
      {chosen && <RepositoryPeek key={chosen.id} repository={chosen} onClose={() => setOpen("")} />}
      <Dialog open={adding === "1"} onClose={() => setAdding("")} maxWidth="sm" fullWidth>
        <DialogTitle>Connect a repository</DialogTitle>
        <DialogContent>
          <Box sx={{ pt: 1 }}>
            <RepositoryForm onCancel={() => setAdding("")} onDone={(r) => void navigate(`/repositories?repository=${r.id}`, { replace: true })} />
          </Box>
        </DialogContent>
      </Dialog>
    </PageBody>
  );
}
