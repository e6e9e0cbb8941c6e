import { Box, MenuItem, TextField } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import { ScrollText } from "lucide-react";
import type { Application } from "@/api/types";
import { queries } from "@/live/queries";
import { LogViewer } from "@/ui/logs/LogViewer";
import { EmptyState, ErrorState, RowsSkeleton } from "@/ui/states";
import { StatusIcon } from "@/ui/status";
import { useUrlState } from "@/ui/url";

export default function LogsTab({ app }: { app: Application }) {
  const { data, error, refetch } = useQuery(queries.resources(app.id));
  const [wanted, setWanted] = useUrlState("container");
  if (error && !data) return <ErrorState error={error} what="The containers could not be loaded" retry={() => void refetch()} />;
  if (!data) return <RowsSkeleton rows={8} height={20} />;
  const containers = data.nodes.filter((n) => n.kind === "container");
  const chosen = containers.find((n) => n.id === wanted) ?? containers[0];
  if (!chosen) return <EmptyState icon={<ScrollText size={28} />} title="No container to read" text="Logs appear when the application has containers." command={`dsctl sync ${app.name}`} />;
  const id = String(chosen.details?.containerId ?? chosen.id);
  return (
    <Box sx={{ display: "grid", gap: 1.5 }}>
      <TextField select label="Container" value={chosen.id} onChange={(e) => setWanted(e.target.value)} sx={{ maxWidth: 420 }}>
        {containers.map((c) => (
          <MenuItem key={c.id} value={c.id}>
            <Box sx={{ display: "flex", alignItems: "center", gap: 1 }}>
              <StatusIcon status={c.health?.status ?? "Unknown"} />
              {c.name}
            </Box>
          </MenuItem>
        ))}
      </TextField>
      <LogViewer key={id} containerId={id} name={chosen.name} height="max(380px, calc(100dvh - 310px))" />
    </Box>
  );
}
