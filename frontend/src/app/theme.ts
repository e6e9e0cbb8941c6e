import { createTheme } from "@mui/material/styles";

const palette = (dark: boolean) => ({
  palette: {
    primary: dark
      ? { main: "#a5b0ff", light: "#c4cbff", dark: "#7c86f0", contrastText: "#0d1119" }
      : { main: "#4338ca", light: "#6366f1", dark: "#3730a3", contrastText: "#ffffff" },
    error: { main: dark ? "#ff9d93" : "#b3261e" },
    warning: { main: dark ? "#f5c26b" : "#8a4b08" },
    success: { main: dark ? "#5fd9bd" : "#0b6b5d" },
    info: { main: dark ? "#8fb6ff" : "#1d4fc4" },
    background: dark ? { default: "#0d1119", paper: "#141a24" } : { default: "#f6f7f9", paper: "#ffffff" },
    text: dark
      ? { primary: "#e7ebf2", secondary: "#9eabbe", disabled: "#6b788c" }
      : { primary: "#10182b", secondary: "#4d5a70", disabled: "#8490a3" },
    divider: dark ? "#263041" : "#dfe3ea",
  },
});

/** One theme, two schemes: colours live in CSS variables, so switching repaints without rendering anew. */
export const theme = createTheme({
  cssVariables: { cssVarPrefix: "mui", colorSchemeSelector: '[data-theme="%s"]' },
  colorSchemes: { light: palette(false), dark: palette(true) },
  shape: { borderRadius: 8 },
  spacing: 8,
  typography: {
    fontFamily: "var(--df-sans)",
    fontSize: 14,
    h1: { fontSize: 22, fontWeight: 650, lineHeight: 1.3, letterSpacing: "-0.012em" },
    h2: { fontSize: 16, fontWeight: 650, lineHeight: 1.4, letterSpacing: "-0.006em" },
    h3: { fontSize: 14, fontWeight: 650, lineHeight: 1.45 },
    body1: { fontSize: 14 },
    body2: { fontSize: 13 },
    caption: { fontSize: 12, lineHeight: 1.45 },
    button: { textTransform: "none", fontWeight: 550, letterSpacing: 0 },
  },
  transitions: { duration: { shortest: 80, shorter: 100, short: 120, standard: 140, complex: 150, enteringScreen: 140, leavingScreen: 100 } },
  components: {
    MuiButtonBase: { defaultProps: { disableRipple: true } },
    MuiButton: {
      defaultProps: { disableElevation: true, size: "small" },
      styleOverrides: {
        root: {
          borderRadius: 7,
          padding: "4px 12px",
          minHeight: 32,
          whiteSpace: "nowrap",
          "&.MuiButton-contained.MuiButton-colorPrimary": {
            backgroundColor: "var(--df-accent-solid)",
            color: "#fff",
            "&:hover": { backgroundColor: "color-mix(in srgb, var(--df-accent-solid) 88%, black)" },
            "&.Mui-disabled": { backgroundColor: "var(--df-idle-soft)", color: "var(--df-muted)" },
          },
          "&.MuiButton-contained.MuiButton-colorError": { backgroundColor: "#b3261e", color: "#fff", "&:hover": { backgroundColor: "#95190f" }, "&.Mui-disabled": { backgroundColor: "var(--df-idle-soft)", color: "var(--df-muted)" } },
          "&.MuiButton-outlined": { borderColor: "var(--df-line-strong)", color: "var(--df-text)", "&:hover": { backgroundColor: "var(--df-hover)" }, "&.Mui-disabled": { color: "var(--df-muted)", opacity: 0.6 } },
          "&.MuiButton-outlined.MuiButton-colorError": { color: "var(--df-bad)" },
        },
      },
    },
    MuiIconButton: {
      defaultProps: { size: "small" },
      styleOverrides: { root: { borderRadius: 7, color: "var(--df-muted)", "&:hover": { backgroundColor: "var(--df-hover)", color: "var(--df-text)" } } },
    },
    MuiPaper: { defaultProps: { elevation: 0 }, styleOverrides: { root: { backgroundImage: "none", backgroundColor: "var(--df-surface)" } } },
    MuiDialog: {
      styleOverrides: {
        paper: { border: "1px solid var(--df-line)", backgroundColor: "var(--df-surface)", borderRadius: 12, boxShadow: "0 24px 64px rgb(0 0 0 / 0.28)" },
      },
    },
    MuiBackdrop: { styleOverrides: { root: { "&:not(.MuiBackdrop-invisible)": { backgroundColor: "var(--df-shade)" } } } },
    MuiDialogTitle: { styleOverrides: { root: { fontSize: 16, fontWeight: 650, padding: "16px 20px 8px" } } },
    MuiDialogContent: { styleOverrides: { root: { padding: "8px 20px 16px" } } },
    MuiDialogActions: { styleOverrides: { root: { padding: "12px 20px 16px", gap: 4 } } },
    MuiMenu: { styleOverrides: { paper: { border: "1px solid var(--df-line)", backgroundColor: "var(--df-raised)", boxShadow: "0 12px 32px rgb(0 0 0 / 0.18)", marginTop: 4 } } },
    MuiMenuItem: { styleOverrides: { root: { fontSize: 13, minHeight: 34, gap: 10, borderRadius: 6, margin: "0 4px", "@media (max-width:600px)": { minHeight: 42 } } } },
    MuiTooltip: {
      defaultProps: { enterDelay: 400, disableInteractive: true },
      styleOverrides: { tooltip: { backgroundColor: "#1b2330", color: "#e7ebf2", fontSize: 12, fontWeight: 450, border: "1px solid #3a475c", maxWidth: 420 } },
    },
    MuiTabs: { styleOverrides: { root: { minHeight: 38 }, indicator: { height: 2, backgroundColor: "var(--df-accent)" } } },
    MuiTab: { styleOverrides: { root: { minHeight: 38, padding: "8px 12px", minWidth: 0, color: "var(--df-muted)", "&.Mui-selected": { color: "var(--df-text)" } } } },
    MuiTextField: { defaultProps: { size: "small", fullWidth: true } },
    MuiOutlinedInput: {
      styleOverrides: {
        root: { backgroundColor: "var(--df-surface)", fontSize: 14 },
        notchedOutline: { borderColor: "var(--df-line-strong)" },
      },
    },
    MuiInputLabel: { styleOverrides: { root: { fontSize: 14 } } },
    MuiFormHelperText: { styleOverrides: { root: { marginLeft: 2 } } },
    MuiTableCell: {
      styleOverrides: {
        root: { borderBottomColor: "var(--df-line)", padding: "0 12px", height: 44, fontSize: 13 },
        head: { height: 36, color: "var(--df-muted)", fontSize: 12, fontWeight: 550, backgroundColor: "var(--df-surface)" },
      },
    },
    MuiAlert: {
      styleOverrides: {
        root: ({ ownerState }) => {
          const tone = { error: "bad", warning: "warn", success: "ok", info: "busy" }[ownerState.severity ?? "info"];
          return {
            borderRadius: 8,
            alignItems: "center",
            border: `1px solid color-mix(in srgb, var(--df-${tone}) 38%, transparent)`,
            backgroundColor: `var(--df-${tone}-soft)`,
            color: "var(--df-text)",
            padding: "4px 14px",
            "& .MuiAlert-icon": { color: `var(--df-${tone})`, fontSize: 20 },
          };
        },
      },
    },
    MuiSwitch: {
      styleOverrides: {
        root: { width: 34, height: 20, padding: 0, margin: "0 10px 0 2px", overflow: "visible" },
        switchBase: {
          padding: 3,
          "&.Mui-checked": { transform: "translateX(14px)", color: "#fff" },
          "&.Mui-checked + .MuiSwitch-track": { backgroundColor: "var(--df-accent-solid)", borderColor: "var(--df-accent-solid)", opacity: 1 },
          "&.Mui-focusVisible + .MuiSwitch-track": { outline: "2px solid var(--df-accent)", outlineOffset: 2 },
        },
        thumb: { width: 14, height: 14, boxShadow: "none", backgroundColor: "currentcolor" },
        track: { borderRadius: 10, opacity: 1, backgroundColor: "var(--df-line-strong)", border: "1px solid var(--df-line-strong)" },
      },
    },
    MuiFormControlLabel: { styleOverrides: { root: { marginLeft: 0 } } },
    MuiCheckbox: { defaultProps: { size: "small" } },
    MuiSkeleton: { defaultProps: { animation: false, variant: "rounded" } },
    MuiToggleButton: {
      styleOverrides: {
        root: { textTransform: "none", padding: "3px 10px", fontSize: 13, borderColor: "var(--df-line-strong)", color: "var(--df-muted)", "&.Mui-selected": { backgroundColor: "var(--df-selected)", color: "var(--df-text)" } },
      },
    },
  },
});
