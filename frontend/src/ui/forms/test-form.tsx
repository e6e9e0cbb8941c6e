import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { fireEvent, render, screen } from "@testing-library/react";
import type { ReactElement } from "react";
import { vi } from "vitest";
import { schemaSet } from "@/api/test-schemas";
import { queries } from "@/live/queries";

export const reply = (status: number, body: unknown) => () => new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });

/** For tests: a form with its schema and projects at hand, before a server that answers each request alike. */
export function openForm(schema: string, form: ReactElement, answer: () => Response, projects: { id: string; name: string }[] = []) {
  const sent: unknown[] = [];
  vi.stubGlobal("fetch", (_url: string, init: RequestInit) => {
    sent.push(JSON.parse(String(init.body)));
    return Promise.resolve(answer());
  });
  const client = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity } } });
  client.setQueryData(queries.schema(schema).queryKey, schemaSet(schema));
  client.setQueryData(queries.projects().queryKey, { items: projects, truncated: false } as never);
  render(<QueryClientProvider client={client}>{form}</QueryClientProvider>);
  const type = (label: string | RegExp, value: string) => fireEvent.change(screen.getByLabelText(label), { target: { value } });
  const click = (name: string) => fireEvent.click(screen.getByRole("button", { name }));
  return { sent, type, click };
}
