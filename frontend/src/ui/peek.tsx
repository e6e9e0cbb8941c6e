import { Box, Drawer, IconButton, Typography } from "@mui/material";
import { X } from "lucide-react";
import type { ReactNode } from "react";

/** A panel from the right for looking at one object without leaving the list. */
export function Peek({ open, title, chips, actions, onClose, children, width = 520 }: { open: boolean; title: ReactNode; chips?: ReactNode; actions?: ReactNode; onClose: () => void; children: ReactNode; width?: number }) {
  return (
    <Drawer
      anchor="right"
      open={open}
      onClose={onClose}
      slotProps={{ paper: { "aria-label": "Details", role: "dialog", sx: { width: { xs: "100vw", sm: width }, maxWidth: "100vw", borderLeft: "1px solid var(--df-line)", display: "flex", flexDirection: "column" } } }}
    >
      <Box sx={{ display: "flex", alignItems: "center", gap: 1, px: 2, minHeight: 56, borderBottom: "1px solid var(--df-line)" }}>
        <Box sx={{ flex: 1, minWidth: 0, display: "flex", alignItems: "center", gap: 1, flexWrap: "wrap", py: 1 }}>
          <Typography variant="h2" sx={{ overflowWrap: "anywhere" }}>
            {title}
          </Typography>
          {chips}
        </Box>
        {actions}
        <IconButton aria-label="Close panel" onClick={onClose}>
          <X size={17} />
        </IconButton>
      </Box>
      <Box sx={{ flex: 1, minHeight: 0, overflow: "auto" }}>{children}</Box>
    </Drawer>
  );
}
