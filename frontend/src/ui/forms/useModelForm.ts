import { useQuery } from "@tanstack/react-query";
import { useCallback, useMemo, useRef, useState } from "react";
import { useForm, type DefaultValues, type FieldErrors, type FieldValues, type Path, type Resolver, type UseFormReturn } from "react-hook-form";
import { fieldErrors } from "@/api/client";
import { validate, type Violation } from "@/api/schema";
import { queries } from "@/live/queries";
import { equal, type Model } from "./merge";
import type { Problem } from "./yaml/document";

type Yaml = typeof import("./yaml/document");

/** How a form shows a model: each direction loses nothing of the other. */
export interface Shape<F extends FieldValues> {
  schema: string;
  toFields: (model: Model) => F;
  /** The fields laid over a model; what no field shows stays. */
  toModel: (fields: F, base: Model) => Model;
  /** Pointer of a value to the field that shows it, the longest match wins. */
  fields: Record<string, Path<F>>;
  /** What only the form can get wrong: a text that can't be read as the values it stands for. */
  check?: (fields: F) => Partial<Record<Path<F>, string>>;
  /** Kinder words for a rule at a pointer than the schema has. */
  words?: Record<string, string>;
}

function fieldAt<F extends FieldValues>(shape: Shape<F>, pointer: string): Path<F> | undefined {
  const key = Object.keys(shape.fields)
    .filter((p) => pointer === p || pointer.startsWith(`${p}/`))
    .sort((a, b) => b.length - a.length)[0];
  return key === undefined ? undefined : shape.fields[key];
}

export interface ModelForm<F extends FieldValues> {
  form: UseFormReturn<F>;
  mode: "form" | "yaml";
  text: string;
  setText: (text: string) => void;
  problems: Problem[];
  /** What belongs to no field. */
  error: string | null;
  dirty: boolean;
  busy: boolean;
  toYaml: () => Promise<void>;
  toForm: () => void;
  submit: (event?: React.FormEvent) => Promise<void>;
  /** The model as it stands; null while the text is not YAML. */
  current: () => Model | null;
  reset: (model: Model) => void;
  /** Values chosen for the user; they are no change of his. */
  preset: (values: Model) => void;
  /** Goes on from another unedited model, with an edited one in the fields. */
  rebase: (unedited: Model, edited: Model) => void;
  /** Saves a model; a failure lands at its field. */
  send: (model: Model, how?: (model: Model) => Promise<void>) => Promise<void>;
}

/** One model, edited by fields or as YAML, checked by the server's schema as one types. */
export function useModelForm<F extends FieldValues>(shape: Shape<F>, initial: Model, save: (model: Model) => Promise<void>): ModelForm<F> {
  const { data: schema } = useQuery(queries.schema(shape.schema));
  const [clean, setClean] = useState(initial);
  const base = useRef(initial);
  const yaml = useRef<Yaml | null>(null);
  const [mode, setMode] = useState<"form" | "yaml">("form");
  const [text, setText] = useState("");
  const [told, setTold] = useState<{ text: string; problems: Problem[] }>({ text: "", problems: [] });
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  const check = useCallback((model: unknown): Violation[] => (schema ? validate(schema, model).map((v) => ({ ...v, message: shape.words?.[`${v.rule} ${v.pointer}`] ?? v.message })) : []), [schema, shape]);
  const resolver: Resolver<F> = (values) => {
    const errors: Record<string, { type: string; message: string }> = {};
    for (const [field, message] of Object.entries(shape.check?.(values) ?? {})) if (message) errors[field] = { type: "form", message: message as string };
    for (const v of check(shape.toModel(values, base.current))) {
      const field = fieldAt(shape, v.pointer) ?? "root";
      errors[field] ??= { type: v.rule, message: field === "root" ? `${v.pointer}: ${v.message}` : v.message };
    }
    return Object.keys(errors).length ? { values: {}, errors: errors as FieldErrors<F> } : { values, errors: {} };
  };
  const form = useForm<F>({ defaultValues: shape.toFields(initial) as DefaultValues<F>, resolver, mode: "onTouched" });

  const parsed = useMemo(() => (mode === "yaml" && yaml.current ? yaml.current.parseYaml(text) : null), [mode, text]);
  const problems = useMemo((): Problem[] => {
    if (!parsed) return [];
    const found = parsed.problems.length ? parsed.problems : check(parsed.value).map((v) => ({ ...parsed.placeOf(v.pointer), pointer: v.pointer || "/", message: v.message }));
    return told.text === text ? [...found, ...told.problems] : found;
  }, [parsed, check, told, text]);

  const isModel = (v: unknown): v is Model => typeof v === "object" && v !== null && !Array.isArray(v);
  const current = (): Model | null => {
    if (mode === "form") return shape.toModel(form.getValues(), base.current);
    return parsed && !parsed.problems.length && isModel(parsed.value) ? parsed.value : null;
  };
  form.watch(); // the form is dirty by its values, not by having been touched
  const now = current();
  const dirty = now ? !equal(now, clean) : mode === "yaml";

  const { setValue, reset: resetForm } = form;
  const preset = useCallback(
    (values: Model) => {
      base.current = { ...base.current, ...values };
      setClean((old) => ({ ...old, ...values }));
      const fields = shape.toFields(base.current);
      // Field by field: what is being typed into the others must not be touched.
      for (const key of Object.keys(values)) {
        const field = shape.fields[`/${key}`];
        if (field) setValue(field, fields[field]);
      }
    },
    [shape, setValue],
  );
  const rebase = (unedited: Model, edited: Model) => {
    base.current = edited;
    setClean(unedited);
    form.reset(shape.toFields(edited));
    if (mode === "yaml" && yaml.current) setText(yaml.current.writeYaml(edited, text));
  };
  const reset = useCallback(
    (model: Model) => {
      base.current = model;
      setClean(model);
      setError(null);
      setTold({ text: "", problems: [] });
      resetForm(shape.toFields(model));
      if (yaml.current) setText(yaml.current.writeYaml(model));
    },
    [shape, resetForm],
  );
  const fail = (e: unknown) => {
    const found = fieldErrors(e);
    let rest: string | null = found.length ? null : e instanceof Error ? e.message : String(e);
    if (mode === "yaml" && parsed) setTold({ text, problems: found.map((f) => ({ ...parsed.placeOf(f.pointer), pointer: f.pointer, message: f.message })) });
    else {
      for (const { pointer, message } of found) {
        const field = fieldAt(shape, pointer);
        if (field) form.setError(field, { type: "server", message }, { shouldFocus: true });
        else rest = `${pointer}: ${message}`;
      }
    }
    setError(rest);
  };
  const send = async (model: Model, how = save) => {
    setBusy(true);
    setError(null);
    try {
      await how(model);
    } catch (e) {
      fail(e);
    } finally {
      setBusy(false);
    }
  };
  return {
    form,
    mode,
    text,
    setText,
    problems,
    error: error ?? (mode === "form" ? (form.formState.errors.root?.message ?? null) : null),
    dirty,
    busy,
    current,
    preset,
    rebase,
    send,
    toYaml: async () => {
      // A field that can't be read has no place in the model; switching would lose it.
      const unread = Object.entries(shape.check?.(form.getValues()) ?? {}).filter(([, message]) => message);
      for (const [field, message] of unread) form.setError(field as Path<F>, { type: "form", message: message as string }, { shouldFocus: true });
      if (unread.length) return;
      yaml.current ??= await import("./yaml/document");
      setText(yaml.current.writeYaml(shape.toModel(form.getValues(), base.current), text));
      setError(null);
      setMode("yaml");
    },
    toForm: () => {
      if (!parsed || parsed.problems.length || !isModel(parsed.value)) return setError("The form can't show this text: it is not a YAML mapping yet. Mend the marked lines first.");
      // A value of another type has no place in a field; switching would lose it.
      const lost = check(parsed.value).find((v) => v.rule === "type");
      if (lost) return setError(`The form can't show ${lost.pointer}: ${lost.message}`);
      setError(null);
      base.current = parsed.value;
      form.reset(shape.toFields(parsed.value), { keepDefaultValues: true });
      setMode("form");
    },
    submit: async (event) => {
      event?.preventDefault();
      event?.stopPropagation();
      if (mode === "form") return form.handleSubmit((fields) => send(shape.toModel(fields, base.current)))();
      const model = current();
      if (!model) return setError("The text is not a YAML mapping yet.");
      if (!problems.some((p) => !told.problems.includes(p))) await send(model);
    },
    reset,
  };
}
