import { Box, Button } from "@mui/material";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Monitor } from "lucide-react";
import { call } from "@/api/client";
import { queries } from "@/live/queries";
import { Card, RelTime } from "@/ui/atoms";
import { ErrorState, RowsSkeleton } from "@/ui/states";
import { useAction } from "@/ui/tasks";

/** "Chrome on Linux" out of a user agent; the whole text when it is none of the usual. */
export function browserName(agent: string): string {
  const browser = /(Firefox|Edg|OPR|Chrome|Safari|dsctl|curl)[/ ]/.exec(agent)?.[1];
  const system = /(Windows|Mac OS X|Android|iPhone|iPad|Linux)/.exec(agent)?.[1];
  const name = { Edg: "Edge", OPR: "Opera" }[browser ?? ""] ?? browser;
  if (!name) return agent.slice(0, 60) || "unknown client";
  return system ? `${name} on ${system === "Mac OS X" ? "macOS" : system}` : name;
}

export function Sessions() {
  const client = useQueryClient();
  const { data, error, refetch } = useQuery(queries.sessions());
  const { busy, run } = useAction();
  if (error && !data) return <ErrorState error={error} what="Sessions could not be loaded" retry={() => void refetch()} />;
  const revoke = (id: string) =>
    run("Sign-out of the session", async () => {
      await call("DELETE /auth/sessions/{id}", { path: { id } });
      await client.invalidateQueries({ queryKey: ["sessions"] });
    });
  return (
    <Card title="Where you are signed in" flush>
      {!data ? (
        <RowsSkeleton rows={3} height={60} />
      ) : (
        data.items.map((s) => (
          <Box key={s.id} sx={{ display: "flex", alignItems: "center", gap: 1.5, px: 2, py: 1.25, borderBottom: "1px solid var(--df-line)", "&:last-child": { borderBottom: 0 }, flexWrap: "wrap" }}>
            <Monitor size={18} />
            <Box sx={{ flex: 1, minWidth: 180 }}>
              <Box sx={{ fontWeight: 550 }} title={s.userAgent}>
                {browserName(s.userAgent)}
                {s.current && (
                  <Box component="span" sx={{ ml: 1, fontSize: 12, color: "var(--df-ok)", fontWeight: 550 }}>
                    this browser
                  </Box>
                )}
              </Box>
              <Box sx={{ fontSize: 12.5, color: "var(--df-muted)" }}>
                <span className="df-mono">{s.ip}</span>, used <RelTime time={s.lastUsedAt} />, since <RelTime time={s.createdAt} />
              </Box>
            </Box>
            {!s.current && (
              <Button variant="outlined" disabled={!!busy} onClick={() => void revoke(s.id)}>
                Sign out
              </Button>
            )}
          </Box>
        ))
      )}
    </Card>
  );
}
