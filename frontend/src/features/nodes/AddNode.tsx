import { Alert, Box, Button, Dialog, DialogActions, DialogContent, DialogTitle, TextField } from "@mui/material";
import { useQueryClient } from "@tanstack/react-query";
import { call } from "@/api/client";
import type { NodeInput } from "@/api/types";
import { headed, partOf, put, textOf } from "@/ui/forms/merge";
import { ModelSwitch, ModelYaml } from "@/ui/forms/ModelSwitch";
import { useModelForm, type Shape } from "@/ui/forms/useModelForm";
import { notify } from "@/ui/toasts";

interface Fields {
  name: string;
  url: string;
  ca: string;
  cert: string;
  key: string;
}

export const nodeShape: Shape<Fields> = {
  schema: "NodeCreate",
  toFields: (m) => {
    const tls = partOf(m.tls);
    return { name: textOf(m.name), url: textOf(m.url), ca: textOf(tls.ca), cert: textOf(tls.cert), key: textOf(tls.key) };
  },
  toModel: (f, base) => {
    const { ca: _c, cert: _e, key: _k, ...rest } = partOf(base.tls);
    const tls = { ...headed({ ca: f.ca, cert: f.cert, key: f.key }, {}), ...rest };
    return put(headed({ name: f.name.trim(), url: f.url.trim() }, base), ["tls"], Object.keys(tls).length ? tls : undefined, !Object.keys(tls).length);
  },
  fields: { "/name": "name", "/url": "url", "/tls": "ca", "/tls/ca": "ca", "/tls/cert": "cert", "/tls/key": "key" },
  words: { "required /name": "Enter a name.", "required /url": "Enter the engine's address.", "required /tls/ca": "Paste the authority that signed the engine's certificate." },
};

export function AddNode({ onClose }: { onClose: () => void }) {
  const client = useQueryClient();
  const model = useModelForm(nodeShape, {}, async (body) => {
    const made = await call("POST /nodes", { body: body as unknown as NodeInput });
    await client.invalidateQueries({ queryKey: ["nodes"] });
    notify({ severity: "success", title: `${made.name} was added`, text: "The connection is being made." });
    onClose();
  });
  const { register, formState, watch } = model.form;
  const { url, ca, cert, key } = watch();
  // What was entered stays in sight, whatever the address has become.
  const tls = /^(tcp|https):/.test(url) || !!(ca || cert || key);
  const pem = (name: "ca" | "cert" | "key", label: string) => (
    <TextField label={label} multiline minRows={2} maxRows={5} error={!!formState.errors[name]} helperText={formState.errors[name]?.message} slotProps={{ inputLabel: { shrink: true }, input: { sx: { fontFamily: "var(--df-mono)", fontSize: 12.5 } } }} {...register(name)} />
  );
  return (
    <Dialog open onClose={onClose} maxWidth="sm" fullWidth>
      <Box component="form" noValidate onSubmit={(e: React.FormEvent) => void model.submit(e)}>
        <Box sx={{ display: "flex", alignItems: "center", justifyContent: "space-between", pr: 3 }}>
          <DialogTitle>Add a node</DialogTitle>
          <ModelSwitch model={model} />
        </Box>
        <DialogContent sx={{ display: "grid", gap: 2 }}>
          {model.error && <Alert severity="error">{model.error}</Alert>}
          {model.mode === "yaml" ? (
            <ModelYaml model={model} label="Node as YAML" />
          ) : (
            <>
              <TextField sx={{ mt: 1 }} label="Name" autoFocus error={!!formState.errors.name} helperText={formState.errors.name?.message} slotProps={{ inputLabel: { shrink: true } }} {...register("name")} />
              <TextField label="Address" placeholder="tcp://10.0.0.5:2376" error={!!formState.errors.url} helperText={formState.errors.url?.message ?? "unix:///var/run/docker.sock or tcp://host:port"} slotProps={{ inputLabel: { shrink: true } }} {...register("url")} />
              {tls && (
                <>
                  {pem("ca", "Certificate authority (PEM)")}
                  {pem("cert", "Client certificate (PEM)")}
                  {pem("key", "Client key (PEM), stored encrypted")}
                </>
              )}
            </>
          )}
        </DialogContent>
        <DialogActions>
          <Button color="inherit" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" variant="contained" loading={model.busy}>
            Add node
          </Button>
        </DialogActions>
      </Box>
    </Dialog>
  );
}
