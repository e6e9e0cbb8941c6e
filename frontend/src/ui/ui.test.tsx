import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { MemoryRouter } from "react-router";
import { describe, expect, it, vi } from "vitest";
import { activityText, foldActivity, mergeActivity } from "./ActivityList";
import { toYaml } from "./code/yaml";
import { highlight } from "./code/highlight";
import { ago, bytes, duration, middle, shortId } from "./format";
import { parseVariables } from "./forms/errors";
import { nameFromUrl } from "./forms/RepositoryForm";
import { severity, StatusChip } from "./status";
import { DataTable, sortRows } from "./table";

describe("status chip", () => {
  const all = ["Healthy", "Progressing", "Degraded", "Suspended", "Missing", "Unknown", "Synced", "OutOfSync", "queued", "running", "succeeded", "failed", "cancelled"];

  it.each(all)("%s has a word and an icon", (status) => {
    const { container } = render(<StatusChip status={status} />);
    expect(container.textContent?.length).toBeGreaterThan(3);
    expect(container.querySelector("svg")?.getAttribute("aria-hidden")).toBe("true");
  });

  it("moves only while live", () => {
    const { container, rerender } = render(<StatusChip status="Progressing" />);
    expect(container.querySelector(".df-turn")).toBeNull();
    rerender(<StatusChip status="Progressing" live />);
    expect(container.querySelector(".df-turn")).not.toBeNull();
  });

  it("says what is unknown, and shows states it has never heard of", () => {
    render(<StatusChip status="Unknown" of="Sync" />);
    expect(screen.getByText("Sync unknown")).toBeTruthy();
    render(<StatusChip status="halfBaked" />);
    expect(screen.getByText("Half baked")).toBeTruthy();
  });

  it("orders by urgency", () => {
    expect(["Healthy", "Progressing", "Degraded", "OutOfSync"].sort((a, b) => severity(a) - severity(b))).toEqual(["Degraded", "OutOfSync", "Progressing", "Healthy"]);
  });
});

describe("format", () => {
  it("writes sizes, times and names", () => {
    expect(bytes(1536)).toBe("1.50 KiB");
    expect(bytes(8 * 2 ** 30)).toBe("8.00 GiB");
    expect(duration(61_000)).toBe("1 min 1 s");
    expect(duration(null)).toBe("–");
    expect(ago("2025-01-01T00:00:00Z", Date.parse("2025-01-01T00:02:10Z"))).toBe("2 min. ago");
    expect(middle("a-very-long-name-with-a-number-17", 16)).toMatch(/^a-very.*…umber-17$|^a-.*….*17$/);
    expect(middle("a-very-long-name-with-a-number-17", 16)).toHaveLength(16);
    expect(shortId("sha256:0123456789abcdef")).toBe("0123456789ab");
  });
});

describe("yaml", () => {
  it("writes nested data and quotes what would be read as something else", () => {
    const text = toYaml({ name: "shop", on: "yes", count: 3, port: "8080", empty: {}, list: [{ a: 1, b: [] }, "x: y"], text: "one\ntwo" });
    expect(text).toBe(['name: shop', '"on": "yes"', "count: 3", 'port: "8080"', "empty: {}", "list:", "  - a: 1", "    b: []", '  - "x: y"', "text: |-", "  one", "  two"].join("\n"));
  });

  it("marks keys, values and comments", () => {
    expect(highlight("  image: redis:7 # cache", "yaml").filter((t) => t.text.trim()).map((t) => t.kind)).toEqual(["key", "plain", "string", "comment"]);
    expect(highlight('{"a": 1}', "json").map((t) => t.kind)).toContain("key");
  });
});

describe("forms and lists", () => {
  it("reads variables and names the bad line", () => {
    expect(parseVariables("A=1\n# c\n\nB=x=y")).toEqual({ variables: { A: "1", B: "x=y" }, error: null });
    expect(parseVariables("A=1\n2B=3").error).toContain("Line 2");
  });

  it("derives a repository's name", () => {
    expect(nameFromUrl("https://git.example.org/Team/My_Shop.git")).toBe("my-shop");
    expect(nameFromUrl("git@host:stack.git")).toBe("stack");
  });

  it("sorts stably in both directions", () => {
    const columns = [{ id: "n", header: "n", cell: () => null, sort: (r: { n: number }) => r.n }];
    expect(sortRows([{ n: 2 }, { n: 1 }], columns, "n").map((r) => r.n)).toEqual([1, 2]);
    expect(sortRows([{ n: 1 }, { n: 2 }], columns, "-n").map((r) => r.n)).toEqual([2, 1]);
  });

  it("says in words what only names its topic, and folds runs of it", () => {
    const read = (seq: number, sha: string) => ({ seq, topic: "repository.status", object: { kind: "repository", id: "r", name: "" }, actor: null, text: "repository.status", time: "2025-01-01T00:00:00Z", details: { state: "ok", refs: { main: sha } } });
    const done = { ...read(9, ""), topic: "deployment.finished", text: "deployment.finished", details: { number: 4, status: "rolledBack", commit: { message: "Shop 1.5\n\nmore" } } };
    expect(activityText(done)).toBe("Deployment #4 rolled back: Shop 1.5");
    expect(activityText({ ...read(1, ""), details: { state: "error", error: { message: "no route" } } })).toBe("The repository can't be read: no route");
    const folded = foldActivity([done, read(3, "abcdef0123456789"), read(2, "abcdef0123456789"), read(1, "0")]);
    expect(folded.map((f) => `${f.entry.seq}x${f.times}`)).toEqual(["9x1", "3x2", "1x1"]);
    expect(activityText(folded[1]!.entry)).toBe("Read: main is at abcdef012345");
  });

  it("merges fetched and live activity without doubles", () => {
    const a = (seq: number) => ({ seq, topic: "t", object: { kind: "node", id: "n", name: "local" }, actor: null, text: "", time: "", details: null });
    expect(mergeActivity([a(2), a(1)], [a(3), a(2)]).map((x) => x.seq)).toEqual([3, 2, 1]);
  });
});

describe("choosing rows", () => {
  it("works by x on the row that j chose, and by check box; the header takes all", async () => {
    vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener: () => {}, removeEventListener: () => {} }));
    Element.prototype.scrollIntoView = () => {};
    const rows = ["a", "b"].map((id) => ({ id }));
    const onOpen = vi.fn();
    function List() {
      const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
      return (
        <MemoryRouter>
          <DataTable label="list" columns={[{ id: "id", header: "Id", cell: (r: { id: string }) => r.id }]} rows={rows} rowKey={(r) => r.id} onOpen={onOpen} chosen={chosen} onChoose={setChosen} />
          <output>{[...chosen].join()}</output>
        </MemoryRouter>
      );
    }
    render(<List />);
    const now = () => document.querySelector("output")?.textContent;
    await userEvent.keyboard("x");
    expect(now()).toBe("");
    await userEvent.keyboard("jjx");
    expect(now()).toBe("b");
    await userEvent.keyboard("x");
    expect(now()).toBe("");
    await userEvent.click(screen.getAllByLabelText("Choose the row")[0]!);
    expect(now()).toBe("a");
    expect(onOpen).not.toHaveBeenCalled();
    await userEvent.click(screen.getByLabelText("Choose all rows"));
    expect(now()).toBe("a,b");
    vi.unstubAllGlobals();
  });
});
