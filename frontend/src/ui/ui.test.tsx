import { render, screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { mergeActivity } from "./ActivityList";
import { toYaml } from "./code/yaml";
import { highlight } from "./code/highlight";
import { ago, bytes, duration, middle, shortId } from "./format";
import { parseVariables } from "./forms/errors";
import { nameFromUrl } from "./forms/RepositoryForm";
import { severity, StatusChip } from "./status";
import { sortRows } from "./table";

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

  it("merges fetched and live activity without doubles", () => {
    const a = (seq: number) => ({ seq, topic: "t", object: null, actor: null, text: "", time: "", details: null });
    expect(mergeActivity([a(2), a(1)], [a(3), a(2)]).map((x) => x.seq)).toEqual([3, 2, 1]);
  });
});
