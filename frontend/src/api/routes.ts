/**
 * Every call of the API by "METHOD /path": its inputs and its answer, taken from the OpenAPI document's paths. A call of
 * something that is not served, with a query parameter or a body that it does not know, does not compile.
 */
import type { paths } from "./openapi";

type Method = "get" | "post" | "put" | "patch" | "delete";
type Root = "/api/v1";

/** "GET /applications/{id}" of ["/api/v1/applications/{id}", "get"]; never, where that is not served. */
type KeyOf<P extends keyof paths, M extends Method> = paths[P][M] extends { responses: unknown }
  ? P extends `${Root}${infer Path}`
    ? `${Uppercase<M>} ${Path}`
    : never
  : never;
export type RouteKey = { [P in keyof paths]: { [M in Method]: KeyOf<P, M> }[Method] }[keyof paths];

type Operation<K extends RouteKey> = K extends `${infer M} ${infer Path}`
  ? `${Root}${Path}` extends infer P extends keyof paths
    ? Lowercase<M> extends infer L extends Method
      ? paths[P][L]
      : never
    : never
  : never;

/** What comes of a body: JSON as described, plain text as such, nothing of none. */
type Body<R> = R extends { content: { "application/json": infer J } } ? J : R extends { content: { "text/plain": infer T } } ? T : void;
type Good = 200 | 201 | 202 | 204;
/** What a call answers when it went well; several forms where several statuses are good. */
export type Result<K extends RouteKey> =
  Operation<K> extends { responses: infer R } ? { [S in keyof R & Good]: Body<R[S]> }[keyof R & Good] : never;

type Parameters<K extends RouteKey> = Operation<K> extends { parameters: infer P } ? P : never;
/** Values become text on the way: numbers and truth values may be given as such. */
type Query<Q> = { [N in keyof Q]?: Q[N] | string | number | boolean };
type PathInput<K extends RouteKey> = Parameters<K> extends { path: infer P extends object } ? { path: P } : unknown;
type QueryInput<K extends RouteKey> = Parameters<K> extends { query?: infer Q } ? ([NonNullable<Q>] extends [never] ? unknown : { query?: Query<NonNullable<Q>> }) : unknown;
type BodyInput<K extends RouteKey> = Operation<K> extends { requestBody: { content: { "application/json": infer B } } } ? { body: B } : unknown;
/** The version that a change is meant for. */
type MatchInput<K extends RouteKey> = Parameters<K> extends { header: { "If-Match": string } } ? { ifMatch: number } : unknown;

/** What a caller has to hand over for one route: exactly the inputs the route names. */
export type Args<K extends RouteKey> = PathInput<K> & QueryInput<K> & BodyInput<K> & MatchInput<K>;
