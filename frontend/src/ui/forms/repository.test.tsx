import { fireEvent, screen, waitFor } from "@testing-library/react";
import { afterEach, describe, expect, it, vi } from "vitest";
import { validate } from "@/api/schema";
import { schemaSet } from "@/api/test-schemas";
import { RepositoryForm, repositoryShape } from "./RepositoryForm";
import { openForm, reply } from "./test-form";

const PROJECT = "0190b6f2-0000-7000-8000-000000000001";

function setup(answer = reply(201, { id: "r", name: "shop" })) {
  const onDone = vi.fn();
  return { onDone, ...openForm("RepositoryCreate", <RepositoryForm onDone={onDone} onCancel={() => {}} />, answer, [{ id: PROJECT, name: "shop" }]) };
}

describe("a new repository", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("is one model as form and as YAML, named after its address", async () => {
    const { sent, onDone, type, click } = setup();
    type("Address", "https://git.example.org/team/Shop.git");
    expect(screen.getByLabelText<HTMLInputElement>("Name").value).toBe("shop");
    click("YAML");
    const text = await screen.findByLabelText<HTMLTextAreaElement>("Repository as YAML");
    expect(text.value).toContain(`projectId: ${PROJECT}`);
    fireEvent.change(text, { target: { value: `${text.value}provider: gitea\nauth:\n  type: token\n  token: s3cret\n` } });
    click("Form");
    expect(screen.getByLabelText<HTMLInputElement>("Token").value).toBe("s3cret");
    type("Default branch", "main");
    click("Connect repository");
    await waitFor(() => expect(onDone).toHaveBeenCalled());
    expect(sent).toEqual([{ name: "shop", url: "https://git.example.org/team/Shop.git", projectId: PROJECT, pollSeconds: 60, branch: "main", provider: "gitea", auth: { type: "token", token: "s3cret" } }]);
  });

  it("asks for the keys of an ssh address, and shows the server's refusal at its field", async () => {
    const refusal = { error: { code: "INVALID_INPUT", message: "the host key is not one", details: {}, field: "/auth/hostKey" } };
    const { sent, type, click } = setup(reply(422, refusal));
    type("Address", "git@host:stack.git");
    click("Connect repository");
    expect(await screen.findByText("Paste the private key.")).toBeTruthy();
    expect(screen.getByText("Paste the server's host key.")).toBeTruthy();
    expect(sent).toEqual([]);
    type("Private key", "KEY");
    type("Host key", "nonsense");
    click("Connect repository");
    expect(await screen.findByText("the host key is not one")).toBeTruthy();
    expect(sent).toMatchObject([{ name: "stack", auth: { type: "ssh", privateKey: "KEY\n", hostKey: "nonsense" } }]);
  });

  it("keeps only what belongs to the kind of access, and refuses no number for seconds", () => {
    const fields = repositoryShape.toFields({ name: "a", url: "https://h/a", projectId: PROJECT, auth: { type: "token", token: "t" } });
    expect(repositoryShape.toModel({ ...fields, authType: "none" }, {})).toEqual({ name: "a", url: "https://h/a", projectId: PROJECT });
    expect(validate(schemaSet("RepositoryCreate"), repositoryShape.toModel({ ...fields, token: "" }, {})).map((v) => `${v.rule} ${v.pointer}`)).toEqual(["min /auth/token"]);
    expect(repositoryShape.check?.({ ...fields, pollSeconds: "soon" })).toEqual({ pollSeconds: "Enter whole seconds." });
  });
});
