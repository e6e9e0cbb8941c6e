import { Box, Typography } from "@mui/material";
import { useEffect, type ReactNode } from "react";
import { Mark } from "@/ui/Mark";
import { Toasts } from "@/ui/toasts";

export function AuthFrame({ title, text, children }: { title: string; text?: string; children: ReactNode }) {
  useEffect(() => {
    document.title = `${title} · DockFlow`;
  }, [title]);
  return (
    <Box component="main" sx={{ minHeight: "100dvh", display: "grid", placeItems: "center", p: 2 }}>
      <Box sx={{ width: "100%", maxWidth: 380, mb: "8vh" }}>
        <Box sx={{ display: "flex", alignItems: "center", gap: 1.25, mb: 3, fontWeight: 700, fontSize: 18, letterSpacing: "-0.015em" }}>
          <Mark size={32} />
          DockFlow
        </Box>
        <Box sx={{ backgroundColor: "var(--df-surface)", border: "1px solid var(--df-line)", borderRadius: 1.5, p: 3 }}>
          <Typography variant="h1" sx={{ fontSize: 19 }}>
            {title}
          </Typography>
          {text && <Typography sx={{ color: "var(--df-muted)", mt: 0.5 }}>{text}</Typography>}
          {children}
        </Box>
      </Box>
      <Toasts />
    </Box>
  );
}
