import { Box, Button, Skeleton, Typography } from "@mui/material";
import { CircleAlert, Copy, Lock, RotateCw } from "lucide-react";
import type { ReactNode } from "react";
import { ApiError } from "@/api/client";
import { placeText } from "@/api/text";
import { copyText } from "./atoms";

const frame = {
  display: "flex",
  flexDirection: "column",
  alignItems: "center",
  justifyContent: "center",
  textAlign: "center",
  gap: 1,
  px: 3,
  py: 7,
  minHeight: 240,
} as const;

/** What this place is for, the one next step, and the same step on the command line. */
export function EmptyState({ icon, title, text, action, command }: { icon?: ReactNode; title: string; text: string; action?: ReactNode; command?: string }) {
  return (
    <Box sx={frame}>
      {icon && <Box sx={{ color: "var(--df-muted)", mb: 0.5 }}>{icon}</Box>}
      <Typography variant="h2">{title}</Typography>
      <Typography sx={{ color: "var(--df-muted)", maxWidth: 460 }}>{text}</Typography>
      {action && <Box sx={{ mt: 1 }}>{action}</Box>}
      {command && (
        <Box sx={{ mt: 1, display: "flex", alignItems: "center", gap: 1, maxWidth: "100%", border: "1px solid var(--df-line)", borderRadius: 1, px: 1.25, py: 0.5, backgroundColor: "var(--df-canvas)" }}>
          <code className="df-mono df-ellipsis">{command}</code>
          <Button size="small" sx={{ minWidth: 0, p: 0.5, minHeight: 0 }} aria-label="Copy command" onClick={() => void copyText(command)}>
            <Copy size={14} />
          </Button>
        </Box>
      )}
    </Box>
  );
}

/** An error inside its region: the rest of the page stays usable. */
export function ErrorState({ error, retry, what = "This could not be loaded" }: { error: unknown; retry?: () => void; what?: string }) {
  const e = error instanceof ApiError ? error : null;
  if (e?.status === 403) return <NoPermission error={e} />;
  const place = placeText(e?.details as { file?: string; line?: number; column?: number } | undefined);
  const text = e ? e.message : error instanceof Error ? error.message : String(error);
  const report = `${what}\n${e?.code ?? "ERROR"}: ${text}${place ? `\n${place}` : ""}${e?.requestId ? `\nrequest ${e.requestId}` : ""}`;
  return (
    <Box sx={frame} role="alert" data-part="failure">
      <CircleAlert size={24} color="var(--df-bad)" />
      <Typography variant="h2">{what}</Typography>
      <Typography sx={{ color: "var(--df-muted)", maxWidth: 560, overflowWrap: "anywhere" }}>{text}</Typography>
      {place && <code className="df-mono">{place}</code>}
      <Typography variant="caption" className="df-mono" sx={{ color: "var(--df-muted)" }}>
        {e?.code ?? "ERROR"}
        {e?.requestId ? ` · ${e.requestId}` : ""}
      </Typography>
      <Box sx={{ display: "flex", gap: 1, mt: 1 }}>
        {retry && (
          <Button variant="outlined" startIcon={<RotateCw size={15} />} onClick={retry}>
            Try again
          </Button>
        )}
        <Button startIcon={<Copy size={15} />} onClick={() => void copyText(report, "Error copied")}>
          Copy
        </Button>
      </Box>
    </Box>
  );
}

export function NoPermission({ error, permission }: { error?: ApiError; permission?: string }) {
  const missing = permission ?? (error?.details.permission as string | undefined) ?? (error?.details.required as string | undefined);
  return (
    <Box sx={frame}>
      <Lock size={24} color="var(--df-muted)" />
      <Typography variant="h2">You have no access to this</Typography>
      <Typography sx={{ color: "var(--df-muted)", maxWidth: 460 }}>
        {missing ? (
          <>
            Your roles lack the right <code className="df-mono">{missing}</code>. Somebody who manages roles can give it to you.
          </>
        ) : (
          (error?.message ?? "Your roles don't include this right.")
        )}
      </Typography>
    </Box>
  );
}

export function RowsSkeleton({ rows = 6, height = 44 }: { rows?: number; height?: number }) {
  return (
    <Box role="status" aria-busy="true" aria-label="Loading">
      {Array.from({ length: rows }, (_, i) => (
        <Box key={i} sx={{ height, display: "flex", alignItems: "center", gap: 3, px: 2, borderBottom: "1px solid var(--df-line)" }}>
          <Skeleton width="22%" height={14} />
          <Skeleton width="14%" height={14} />
          <Skeleton width="14%" height={14} />
          <Skeleton width="28%" height={14} />
        </Box>
      ))}
    </Box>
  );
}
