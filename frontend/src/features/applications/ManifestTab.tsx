import { Box, ToggleButton, ToggleButtonGroup } from "@mui/material";
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import type { Application } from "@/api/types";
import { queries } from "@/live/queries";
import { CodeView } from "@/ui/code/CodeView";
import { toYaml } from "@/ui/code/yaml";
import { ErrorState, RowsSkeleton } from "@/ui/states";
import { useUrlState } from "@/ui/url";

/** The project as the server understood it: files merged, variables filled in, defaults added. */
export default function ManifestTab({ app }: { app: Application }) {
  const { data, error, refetch } = useQuery(queries.manifest(app.id));
  const [format, setFormat] = useUrlState("format", "yaml");
  const [file, setFile] = useUrlState("file", "rendered");
  const [line] = useUrlState("line");
  const files = (data?.files ?? []).filter((f) => f.content !== undefined);
  const source = files.find((f) => f.path === file);
  const text = useMemo(() => {
    if (!data) return "";
    if (source?.content !== undefined) return source.content;
    return format === "yaml" ? toYaml(data.rendered) : JSON.stringify(data.rendered, null, 2);
  }, [data, source, format]);
  if (error && !data) return <ErrorState error={error} what="The manifest could not be rendered" retry={() => void refetch()} />;
  if (!data) return <RowsSkeleton rows={12} height={20} />;
  return (
    <CodeView
      name={source ? (source.path.split("/").pop() ?? source.path) : `${app.name}.${format}`}
      language={source ? "yaml" : format === "json" ? "json" : "yaml"}
      text={text}
      mark={source && line ? Number(line) : undefined}
      maxHeight="max(420px, calc(100dvh - 320px))"
      toolbar={
        <Box sx={{ display: "flex", gap: 1, flexWrap: "wrap" }}>
          <ToggleButtonGroup exclusive size="small" value={source ? source.path : "rendered"} onChange={(_, v: string | null) => v && setFile(v)} aria-label="Source">
            <ToggleButton value="rendered">As deployed</ToggleButton>
            {files.map((f) => (
              <ToggleButton key={f.path} value={f.path}>
                <span className="df-mono">{f.path}</span>
              </ToggleButton>
            ))}
          </ToggleButtonGroup>
          {!source && (
            <ToggleButtonGroup exclusive size="small" value={format} onChange={(_, v: string | null) => v && setFormat(v)} aria-label="Format">
              <ToggleButton value="yaml">YAML</ToggleButton>
              <ToggleButton value="json">JSON</ToggleButton>
            </ToggleButtonGroup>
          )}
        </Box>
      }
    />
  );
}
