import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { fireEvent, render, screen, waitFor } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import { ApiError } from "@/api/client";
import { validate } from "@/api/schema";
import { schemaSet } from "@/api/test-schemas";
import { queries } from "@/live/queries";
import { parseVariables, variablesText } from "./errors";
import { changedKeys, equal, merge, withValue, type Model } from "./merge";
import { ModelSwitch, ModelYaml } from "./ModelSwitch";
import { useModelForm, type Shape } from "./useModelForm";
import { parseYaml, writeYaml } from "./yaml/document";

const create = schemaSet("ApplicationCreate");
const ID = "0190b6f2-0000-7000-8000-000000000001";
const good = { name: "shop", projectId: ID, repositoryId: ID, environment: { name: "production", variables: { TAG: "1" } }, syncPolicy: { automated: true } };

describe("schema", () => {
  it("accepts what the server accepts", () => {
    expect(validate(create, good)).toEqual([]);
  });

  it("names each wrong value by its pointer", () => {
    const bad = { ...good, name: "No!", composeFiles: ["", 7], environment: { name: "x", variables: { "1A": "v", B: 8080 } }, syncPolicy: { automatic: true, retryLimit: 999 }, repositoryId: undefined };
    const found = Object.fromEntries(validate(create, bad).map((v) => [v.pointer, v.rule]));
    expect(found).toEqual({ "/name": "format", "/composeFiles/0": "min", "/composeFiles/1": "type", "/environment/variables/1A": "format", "/environment/variables/B": "type", "/syncPolicy/automatic": "unknown", "/syncPolicy/retryLimit": "max", "/repositoryId": "required" });
  });

  it("checks values of other kinds, and survives nonsense", () => {
    expect(validate(create, null)[0]).toMatchObject({ pointer: "", rule: "type" });
    expect(validate(create, [])[0]).toMatchObject({ rule: "type" });
    const set = { name: "X", all: { X: { type: "array", uniqueItems: true, items: { enum: ["a", "b"] } } } };
    expect(validate(set, ["a", "a", "c"]).map((v) => v.rule).sort()).toEqual(["enum", "uniqueItems"]);
  });
});

describe("yaml", () => {
  it("keeps comments and the writing of what did not change", () => {
    const former = "# who\nname: 'shop'\nenvironment:\n  name: production # live\n  variables:\n    A: \"1\"\n    B: \"2\"\n";
    const { value } = parseYaml(former);
    expect(writeYaml(value, former)).toBe(former);
    const next = writeYaml({ name: "shop", environment: { name: "canary", variables: { A: "1", C: "3" } } }, former);
    expect(next).toContain("# who\nname: 'shop'");
    expect(next).toContain("# live");
    expect(parseYaml(next).value).toEqual({ name: "shop", environment: { name: "canary", variables: { A: "1", C: "3" } } });
  });

  it("writes and reads every kind of value without loss", () => {
    for (const value of [{ a: "yes", b: "1.10", c: "null", d: "", e: "x: y #z", f: "two\nlines\n", g: [], h: {}, i: ["-", "'", '"'], j: "  pad ", k: "0123" }]) expect(parseYaml(writeYaml(value)).value).toEqual(value);
  });

  it("says where a text is wrong, and where a value stands", () => {
    expect(parseYaml("a: 1\nb: [1\n").problems[0]).toMatchObject({ line: expect.any(Number) as number });
    expect(parseYaml("a: 1\na: 2\n").problems[0]).toMatchObject({ line: 2, column: 1 });
    const { placeOf } = parseYaml("name: x\nenvironment:\n  variables:\n    A: 1\nlist:\n  - p\n  - q\n");
    expect(placeOf("/environment/variables/A")).toEqual({ line: 4, column: 5 });
    expect(placeOf("/list/1")).toEqual({ line: 7, column: 5 });
    expect(placeOf("/environment/name")).toEqual({ line: 2, column: 1 });
    expect(placeOf("/missing")).toEqual({ line: 1, column: 1 });
  });

  it("does not swell aliases", () => {
    const bomb = `a: &a [${"x,".repeat(9)}x]\n${"bcdefgh".split("").map((c, i) => `${c}: &${c} [${`*${"abcdefg"[i]},`.repeat(9)}*${"abcdefg"[i]}]`).join("\n")}\n`;
    expect(parseYaml(bomb).problems).toHaveLength(1);
  });
});

describe("variables as lines", () => {
  it("lose nothing: several lines, quotes, blanks", () => {
    for (const variables of [{ A: "1", B: "x=y" }, { A: "two\nlines" }, { A: '"quoted"' }, { A: " pad ", B: "" }, { A: 'in "the" middle' }]) expect(parseVariables(variablesText(variables))).toEqual({ variables, error: null });
    expect(parseVariables("A=1\nA=2").error).toContain("twice");
    expect(parseVariables('A="open').error).toContain("Line 1");
  });
});

describe("merge", () => {
  const base: Model = { branch: "main", path: ".", env: { name: "prod", vars: { A: "1", B: "2" } } };

  it("takes one-sided changes key by key and reports two-sided ones", () => {
    const mine = { ...base, branch: "dev", env: { name: "prod", vars: { A: "mine", B: "2", C: "3" } } };
    const theirs = { ...base, branch: "release", path: "deploy", env: { name: "prod", vars: { A: "1" } } };
    const m = merge(base, mine, theirs);
    expect(m.merged).toEqual({ branch: "dev", path: "deploy", env: { name: "prod", vars: { A: "mine", C: "3" } } });
    expect(m.conflicts).toEqual([{ pointer: "/branch", base: "main", mine: "dev", theirs: "release" }]);
    expect(m.taken.map((t) => `${t.by} ${t.pointer}`).sort()).toEqual(["mine /env/vars/A", "mine /env/vars/C", "theirs /env/vars/B", "theirs /path"]);
  });

  it("sees no conflict in equal changes, and compares as data", () => {
    expect(merge({ a: 1 }, { a: 2 }, { a: 2 })).toMatchObject({ conflicts: [], taken: [] });
    expect(equal({ a: 1, b: undefined }, { a: 1 })).toBe(true);
    expect(changedKeys(base, { ...base, env: { vars: { B: "2", A: "1" }, name: "prod" }, path: "x" })).toEqual({ path: "x" });
    expect(withValue({ a: { b: 1 } }, ["a", "c"], 2)).toEqual({ a: { b: 1, c: 2 } });
    expect(withValue({ a: { b: 1 } }, ["a", "b"], undefined)).toEqual({ a: {} });
  });
});

interface F {
  name: string;
  branch: string;
}
const shape: Shape<F> = {
  schema: "ApplicationCreate",
  toFields: (m) => ({ name: String(m.name ?? ""), branch: String(m.branch ?? "") }),
  toModel: (f, base) => ({ ...base, name: f.name, ...(f.branch ? { branch: f.branch } : {}) }),
  fields: { "/name": "name", "/branch": "branch" },
};

function Form({ save }: { save: (m: Model) => Promise<void> }) {
  const model = useModelForm(shape, good, save);
  const { register, formState } = model.form;
  return (
    <form onSubmit={(e) => void model.submit(e)}>
      <ModelSwitch model={model} />
      {model.error && <div role="alert">{model.error}</div>}
      {model.mode === "yaml" ? (
        <ModelYaml model={model} label="text" />
      ) : (
        <>
          <input aria-label="name" {...register("name")} />
          <span>{formState.errors.name?.message}</span>
          <input aria-label="branch" {...register("branch")} />
        </>
      )}
      <output>{model.dirty ? "dirty" : "clean"}</output>
      <button type="submit">save</button>
    </form>
  );
}

function setup(save: (m: Model) => Promise<void> = () => Promise.resolve()) {
  const client = new QueryClient();
  client.setQueryData(queries.schema("ApplicationCreate").queryKey, create);
  const spy = vi.fn(save);
  render(
    <QueryClientProvider client={client}>
      <Form save={spy} />
    </QueryClientProvider>,
  );
  const to = async (view: string) => void fireEvent.click(screen.getByRole("button", { name: view }));
  const text = () => screen.findByLabelText<HTMLTextAreaElement>("text");
  const retype = async (from: string, to: string) => {
    const field = await text();
    expect(field.value).toContain(from);
    fireEvent.change(field, { target: { value: field.value.replace(from, to) } });
  };
  return { spy, to, text, retype };
}

describe("form and YAML", () => {
  it("are one model: what either changes the other shows, and what no field shows stays", async () => {
    const { spy, to, text, retype } = setup();
    expect(screen.getByText("clean")).toBeTruthy();
    fireEvent.change(screen.getByLabelText("branch"), { target: { value: "dev" } });
    await to("YAML");
    expect((await text()).value).toContain("branch: dev");
    expect((await text()).value).toContain("TAG:");
    await retype("branch: dev", "branch: next # soon");
    await to("Form");
    expect(screen.getByLabelText<HTMLInputElement>("branch").value).toBe("next");
    expect(screen.getByText("dirty")).toBeTruthy();
    await to("YAML");
    expect((await text()).value).toContain("# soon");
    fireEvent.click(screen.getByText("save"));
    await waitFor(() => expect(spy).toHaveBeenCalledWith({ ...good, branch: "next" }));
  });

  it("are checked by the schema as one types, at the field and at the line", async () => {
    const { spy, to, retype } = setup();
    const name = screen.getByLabelText("name");
    fireEvent.change(name, { target: { value: "Bad Name" } });
    fireEvent.blur(name);
    expect(await screen.findByText(/lower-case letters/)).toBeTruthy();
    await to("YAML");
    expect(await screen.findByText("/name")).toBeTruthy();
    await retype("Bad Name", "fine");
    await waitFor(() => expect(screen.queryByText("/name")).toBeNull());
    await retype("automated: true", "automated: 7");
    expect(screen.getByText("/syncPolicy/automated")).toBeTruthy();
    fireEvent.click(screen.getByText("save"));
    expect(spy).not.toHaveBeenCalled();
    await to("Form");
    expect((await screen.findByRole("alert")).textContent).toContain("/syncPolicy/automated");
  });

  it("don't switch while the text is no YAML", async () => {
    const { to, text, retype } = setup();
    await to("YAML");
    await text();
    await retype("name: shop", "name: : x");
    await to("Form");
    expect((await screen.findByRole("alert")).textContent).toContain("not a YAML mapping");
    expect(screen.getByLabelText("text")).toBeTruthy();
  });

  it("show the server's refusal at its field and at its line", async () => {
    const refuse = () => Promise.reject(new ApiError(409, "RESOURCE_CONFLICT", "taken already", {}, "/name"));
    const { to, text } = setup(refuse);
    fireEvent.click(screen.getByText("save"));
    expect(await screen.findByText("taken already")).toBeTruthy();
    await to("YAML");
    await text();
    fireEvent.click(screen.getByText("save"));
    const problem = (await screen.findByText("taken already")).closest("button");
    expect(problem?.textContent).toContain("1:1");
  });
});
