import { describe, expect, it } from "vitest";
import { safeNext } from "./LoginPage";

describe("where sign-in leads", () => {
  it.each([
    ["/applications?q=a", "/applications?q=a"],
    ["//evil.example", "/applications"],
    ["/\\evil.example", "/applications"],
    ["https://evil.example", "/applications"],
    ["javascript:alert(1)", "/applications"],
    ["/login", "/applications"],
    [null, "/applications"],
  ])("%s to %s", (next, to) => expect(safeNext(next)).toBe(to));
});
