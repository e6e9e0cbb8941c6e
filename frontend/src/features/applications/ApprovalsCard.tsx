import { Box, Button } from "@mui/material";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { call } from "@/api/client";
import type { Application } from "@/api/types";
import { queries, useCan } from "@/live/queries";
import { Card, RelTime } from "@/ui/atoms";
import { ConfirmDialog } from "@/ui/dialogs";
import { notify } from "@/ui/toasts";

/** What reaches for the host and was deployed by somebody who may: automatic syncs repeat exactly that. Absent while there is none. */
export function ApprovalsCard({ app }: { app: Application }) {
  const [open, setOpen] = useState(false);
  const can = useCan();
  const client = useQueryClient();
  const { data } = useQuery(queries.approvals(app.id));
  if (!data?.items.length) return null;
  return (
    <Card
      title="Approved options"
      action={
        can("application:update") && (
          <Button size="small" variant="outlined" color="error" onClick={() => setOpen(true)}>
            Withdraw
          </Button>
        )
      }
    >
      <Box sx={{ fontSize: 13.5, color: "var(--df-muted)", mb: 1 }}>Automatic syncs may use these again, because somebody with the right deployed them.</Box>
      <Box component="ul" sx={{ m: 0, pl: 2.5, fontSize: 13.5, display: "grid", gap: 0.5 }}>
        {data.items.map((a) => (
          <li key={`${a.message} ${a.approvedBy.id} ${a.token?.id}`}>
            {a.message} <code className="df-mono">{a.permission}</code> · {a.approvedBy.name}
            {a.token && ` (token ${a.token.name})`}, <RelTime time={a.approvedAt} />
          </li>
        ))}
      </Box>
      <ConfirmDialog
        open={open}
        title={`Withdraw the approvals of ${app.name}`}
        verb="Withdraw"
        onClose={() => setOpen(false)}
        onConfirm={async () => {
          await call("DELETE /applications/{id}/approvals", { path: { id: app.id } });
          await client.invalidateQueries({ queryKey: ["approvals", app.id] });
          notify({ severity: "success", title: "Approvals withdrawn" });
        }}
      >
        <Box sx={{ fontSize: 13.5 }}>What runs goes on. Automatic syncs that need one of these are refused until somebody with the right deploys again.</Box>
      </ConfirmDialog>
    </Card>
  );
}
