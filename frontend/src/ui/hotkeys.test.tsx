import { cleanup, render } from "@testing-library/react";
import { afterEach, describe, expect, it, vi } from "vitest";
import { useHotkeys, usePrefixKey } from "./hotkeys";

const press = (key: string) => window.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));

describe("two keys in a row", () => {
  afterEach(cleanup);
  const setup = () => {
    const nodes = vi.fn(), next = vi.fn();
    function View() {
      usePrefixKey("g");
      useHotkeys({ "g n": nodes, n: next });
      return null;
    }
    render(<View />);
    return { nodes, next };
  };

  it("count however fast the second comes", () => {
    const { nodes, next } = setup();
    press("g");
    press("n");
    expect(nodes).toHaveBeenCalledTimes(1);
    expect(next).not.toHaveBeenCalled();
    press("n");
    expect(next).toHaveBeenCalledTimes(1);
    press("g");
    press("n");
    expect(nodes).toHaveBeenCalledTimes(2);
  });

  it("are broken by another key and by time", () => {
    const { nodes, next } = setup();
    press("g");
    press("q");
    press("n");
    expect(nodes).not.toHaveBeenCalled();
    expect(next).toHaveBeenCalledTimes(1);
    const now = Date.now();
    press("g");
    vi.spyOn(Date, "now").mockReturnValue(now + 5_000);
    press("n");
    expect(nodes).not.toHaveBeenCalled();
    vi.restoreAllMocks();
  });
});
