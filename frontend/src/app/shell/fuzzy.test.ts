import { describe, expect, it } from "vitest";
import { fuzzy } from "./fuzzy";

describe("fuzzy", () => {
  it("needs every letter in order and prefers starts", () => {
    expect(fuzzy("xyz", "applications")).toBeNull();
    expect(fuzzy("api", "api-gateway")!).toBeGreaterThan(fuzzy("api", "shop-api")!);
    expect(fuzzy("sf", "store-front")!).toBeGreaterThan(fuzzy("sf", "usefulness")!);
    expect(fuzzy("", "anything")).toBe(0);
  });
});
