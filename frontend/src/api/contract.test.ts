import { describe, expectTypeOf, it } from "vitest";
import { call } from "./client";
import type { Args, Result, RouteKey } from "./routes";
import type { Application, Page, Plan, TaskRef } from "./types";

// tsc runs these: each expected error that does not come is one.
const calls = () => [
  call("GET /applications", { query: { limit: 10, project: undefined } }),
  call("DELETE /applications/{id}", { path: { id: "a" }, query: { cascade: true }, ifMatch: 3 }),
  // @ts-expect-error is not served
  call("GET /nowhere", {}),
  // @ts-expect-error is not served with this method
  call("PUT /users", {}),
  // @ts-expect-error has no such query parameter
  call("GET /applications", { query: { colour: "red" } }),
  // @ts-expect-error lacks a field that the server wants
  call("POST /applications/{id}/rollback", { path: { id: "a" }, body: {} }),
  // @ts-expect-error lacks the version
  call("DELETE /nodes/{id}", { path: { id: "n" } }),
  // @ts-expect-error has another path parameter
  call("GET /nodes/{id}", { path: { node: "n" } }),
];

describe("the contract", () => {
  it("knows exactly the calls that are served, with what they take and answer", () => {
    expectTypeOf(calls).returns.toBeArray();
    expectTypeOf<"GET /applications/{id}">().toExtend<RouteKey>();
    expectTypeOf<Result<"GET /applications">>().toExtend<Page<Application>>();
    expectTypeOf<Result<"POST /applications/{id}/sync">>().toEqualTypeOf<TaskRef | Plan>();
    expectTypeOf<Result<"DELETE /applications/{id}">>().toEqualTypeOf<TaskRef | void>();
    expectTypeOf<Result<"GET /containers/{id}/logs">>().toEqualTypeOf<string>();
    expectTypeOf<Args<"POST /auth/login">["body"]["username"]>().toEqualTypeOf<string>();
  });
});
