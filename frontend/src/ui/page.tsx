import { Box, Tab, Tabs, Typography } from "@mui/material";
import { ChevronRight } from "lucide-react";
import { useEffect, type ReactNode } from "react";
import { Link } from "react-router";

interface HeaderProps {
  title: ReactNode;
  /** Title of the browser tab. */
  name: string;
  crumbs?: { label: string; to: string }[];
  chips?: ReactNode;
  facts?: ReactNode;
  actions?: ReactNode;
  tabs?: ReactNode;
}

export function PageHeader({ title, name, crumbs, chips, facts, actions, tabs }: HeaderProps) {
  useEffect(() => {
    document.title = `${name} · DockFlow`;
  }, [name]);
  return (
    <Box component="header" sx={{ mb: tabs ? 2 : 2.5, borderBottom: tabs ? "1px solid var(--df-line)" : 0 }}>
      {crumbs && (
        <Box component="nav" aria-label="Breadcrumb" sx={{ display: "flex", alignItems: "center", gap: 0.5, mb: 0.5, fontSize: 12.5, color: "var(--df-muted)" }}>
          {crumbs.map((c, i) => (
            <Box key={c.to} sx={{ display: "contents" }}>
              <Box component={Link} to={c.to} sx={{ color: "inherit", textDecoration: "none", "&:hover": { color: "var(--df-accent)" } }}>
                {c.label}
              </Box>
              {i < crumbs.length - 1 && <ChevronRight size={13} aria-hidden />}
            </Box>
          ))}
        </Box>
      )}
      <Box sx={{ display: "flex", alignItems: "flex-start", gap: 2, flexWrap: "wrap", rowGap: 1 }}>
        <Box sx={{ display: "flex", alignItems: "center", gap: 1, rowGap: 0.5, flexWrap: "wrap", flex: 1, minWidth: 200, minHeight: 32 }}>
          <Typography variant="h1" sx={{ overflowWrap: "anywhere", mr: 0.5 }}>
            {title}
          </Typography>
          {chips}
        </Box>
        {actions && <Box sx={{ display: "flex", gap: 1, alignItems: "center", flexWrap: "wrap" }}>{actions}</Box>}
      </Box>
      {facts && (
        <Box sx={{ display: "flex", flexWrap: "wrap", columnGap: 2.5, rowGap: 0.5, mt: 1, fontSize: 13, color: "var(--df-muted)" }}>{facts}</Box>
      )}
      {tabs && <Box sx={{ mt: 1.5 }}>{tabs}</Box>}
    </Box>
  );
}

/** One fact of the line under the title. */
export function Fact({ icon, children, title }: { icon?: ReactNode; children: ReactNode; title?: string }) {
  return (
    <Box component="span" title={title} sx={{ display: "inline-flex", alignItems: "center", gap: 0.75, minWidth: 0 }}>
      {icon}
      {children}
    </Box>
  );
}

export interface PageTab {
  value: string;
  label: ReactNode;
  to: string;
}

export function PageTabs({ tabs, value, label }: { tabs: PageTab[]; value: string; label: string }) {
  return (
    <Tabs value={value} variant="scrollable" scrollButtons={false} aria-label={label}>
      {tabs.map((t) => (
        <Tab key={t.value} value={t.value} label={t.label} component={Link} to={t.to} />
      ))}
    </Tabs>
  );
}

/** The scrolling column of a page, with the margins every page shares. */
export function PageBody({ children, wide = false }: { children: ReactNode; wide?: boolean }) {
  return <Box sx={{ px: { xs: 2, md: 3 }, py: { xs: 2, md: 2.5 }, maxWidth: wide ? "none" : 1440, mx: "auto", width: "100%" }}>{children}</Box>;
}
