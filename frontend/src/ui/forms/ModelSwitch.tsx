import { ToggleButton, ToggleButtonGroup } from "@mui/material";
import type { FieldValues } from "react-hook-form";
import type { ModelForm } from "./useModelForm";
import { YamlEditor } from "./yaml/YamlEditor";

/** Form or YAML: two views of one model. */
export function ModelSwitch<F extends FieldValues>({ model }: { model: ModelForm<F> }) {
  return (
    <ToggleButtonGroup exclusive size="small" value={model.mode} aria-label="Edit as" onChange={(_, to: string | null) => (to === "yaml" ? void model.toYaml() : to === "form" ? model.toForm() : undefined)}>
      <ToggleButton value="form">Form</ToggleButton>
      <ToggleButton value="yaml">YAML</ToggleButton>
    </ToggleButtonGroup>
  );
}

export function ModelYaml<F extends FieldValues>({ model, label, readOnly }: { model: ModelForm<F>; label: string; readOnly?: boolean }) {
  return <YamlEditor value={model.text} onChange={model.setText} problems={model.problems} label={label} readOnly={readOnly} />;
}
