import { Box } from "@mui/material";
import { EyeOff } from "lucide-react";

/** The right that shows values of environment variables. */
export const ENV_RIGHT = "container:inspect-env";
const MASK = "***";

/** The server sends this in place of a value its reader may not see. */
export const isHidden = (value: unknown): boolean => value === MASK;

export function Hidden() {
  return (
    <Box component="span" title={`Your roles lack the right ${ENV_RIGHT}`} sx={{ display: "inline-flex", alignItems: "center", gap: 0.5, fontFamily: "var(--df-sans)", fontSize: 12, color: "var(--df-muted)", backgroundColor: "var(--df-idle-soft)", borderRadius: "4px", px: 0.75, lineHeight: "18px", whiteSpace: "nowrap" }}>
      <EyeOff size={12} aria-hidden />
      hidden
    </Box>
  );
}
