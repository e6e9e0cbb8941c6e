import { fireEvent, screen, waitFor } from "@testing-library/react";
import { afterEach, describe, expect, it, vi } from "vitest";
import { validate } from "@/api/schema";
import { schemaSet } from "@/api/test-schemas";
import { openForm, reply } from "@/ui/forms/test-form";
import { AddNode, nodeShape } from "./AddNode";

function setup() {
  const onClose = vi.fn();
  return { onClose, ...openForm("NodeCreate", <AddNode onClose={onClose} />, reply(201, { id: "n", name: "edge" })) };
}

describe("a new node", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("is one model as form and as YAML; what no field shows is sent, too", async () => {
    const { sent, onClose, type, click } = setup();
    type("Name", "edge");
    type("Address", "tcp://10.0.0.5:2376");
    type(/authority/, "PEM");
    click("YAML");
    const text = await screen.findByLabelText<HTMLTextAreaElement>("Node as YAML");
    expect(text.value).toContain("ca: PEM");
    fireEvent.change(text, { target: { value: `${text.value}  serverName: engine.example\nlabels:\n  zone: west\n` } });
    click("Form");
    expect(screen.getByLabelText<HTMLInputElement>("Name").value).toBe("edge");
    type("Name", "edge-2");
    click("Add node");
    await waitFor(() => expect(onClose).toHaveBeenCalled());
    expect(sent).toEqual([{ name: "edge-2", url: "tcp://10.0.0.5:2376", tls: { ca: "PEM", serverName: "engine.example" }, labels: { zone: "west" } }]);
  });

  it("is checked before it is sent", async () => {
    const { sent, type, click } = setup();
    type("Address", "nowhere");
    click("Add node");
    expect(await screen.findByText("Enter a name.")).toBeTruthy();
    expect(screen.getByText(/Has to be an address/)).toBeTruthy();
    expect(sent).toEqual([]);
  });

  it("has no empty parts", () => {
    expect(nodeShape.toModel({ name: "a", url: "unix:///run/docker.sock", ca: "", cert: "", key: "" }, {})).toEqual({ name: "a", url: "unix:///run/docker.sock" });
    expect(validate(schemaSet("NodeCreate"), nodeShape.toModel({ name: "a", url: "tcp://h:1", ca: "", cert: "c", key: "k" }, {})).map((v) => v.pointer)).toEqual(["/tls/ca"]);
  });
});
