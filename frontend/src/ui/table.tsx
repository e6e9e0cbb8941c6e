import { Box, Checkbox, Table, TableBody, TableCell, TableHead, TableRow, TableSortLabel, useMediaQuery } from "@mui/material";
import { useEffect, useRef, useState, type ReactNode } from "react";
import { useChangedAt } from "@/live/queries";
import type { Kind } from "@/live/store";
import { useHotkeys } from "./hotkeys";
import { useUrlState } from "./url";

export interface Column<T> {
  id: string;
  header: string;
  cell: (row: T) => ReactNode;
  /** A value to sort by; without it the column does not sort. */
  sort?: (row: T) => string | number;
  width?: number | string;
  align?: "right";
  /** Cells of this column start the card on small screens. */
  primary?: boolean;
}

interface Props<T> {
  label: string;
  columns: Column<T>[];
  rows: T[];
  rowKey: (row: T) => string;
  /** Opens a row by click, or by Enter on the row that j and k chose. */
  onOpen?: (row: T) => void;
  selected?: string;
  kind?: Kind;
  defaultSort?: string;
  keys?: boolean;
  /** Keys of chosen rows; with the setter rows get a check box, and x chooses the current one. */
  chosen?: ReadonlySet<string>;
  onChoose?: (chosen: ReadonlySet<string>) => void;
}

const pageFlashStart = Date.now();

interface RowProps<T> {
  row: T;
  id: string;
  columns: Column<T>[];
  onOpen?: (row: T) => void;
  current: boolean;
  selected: boolean;
  kind?: Kind;
  chosen?: boolean;
  onChoose?: () => void;
}

const check = (label: string, chosen: boolean | undefined, onChoose: () => void) => <Checkbox checked={!!chosen} onChange={onChoose} onClick={(e) => e.stopPropagation()} slotProps={{ input: { "aria-label": label } }} sx={{ p: 0.5 }} />;

function Row<T>({ row, id, columns, onOpen, current, selected, kind, chosen, onChoose }: RowProps<T>) {
  const changedAt = useChangedAt(kind ?? "task", kind ? id : "");
  const ref = useRef<HTMLTableRowElement>(null);
  const mounted = useRef(Date.now());
  useEffect(() => {
    if (current) ref.current?.scrollIntoView({ block: "nearest" });
  }, [current]);
  useEffect(() => {
    const el = ref.current;
    if (!el || changedAt <= mounted.current || changedAt <= pageFlashStart) return;
    el.classList.remove("df-flash");
    void el.offsetWidth;
    el.classList.add("df-flash");
  }, [changedAt]);
  return (
    <TableRow
      ref={ref}
      data-row={id}
      onClick={onOpen && (() => onOpen(row))}
      sx={{
        cursor: onOpen ? "pointer" : "default",
        backgroundColor: selected || chosen ? "var(--df-selected)" : undefined,
        boxShadow: current ? "inset 2px 0 0 var(--df-accent)" : undefined,
        "&:hover": { backgroundColor: selected ? "var(--df-selected)" : "var(--df-hover)" },
        "&:last-child td": { borderBottom: 0 },
      }}
    >
      {onChoose && <TableCell sx={{ width: 36, pr: "0 !important" }}>{check("Choose the row", chosen, onChoose)}</TableCell>}
      {columns.map((c) => (
        <TableCell key={c.id} align={c.align} sx={{ maxWidth: c.width ?? 360, overflow: "hidden", textOverflow: "ellipsis", whiteSpace: "nowrap" }}>
          {c.cell(row)}
        </TableCell>
      ))}
    </TableRow>
  );
}

function CardRow<T>({ row, columns, onOpen, selected, chosen, onChoose }: Omit<RowProps<T>, "id" | "current" | "kind">) {
  const head = columns.filter((c) => c.primary);
  const rest = columns.filter((c) => !c.primary && c.header);
  const actions = columns.filter((c) => !c.header);
  return (
    <Box
      component="li"
      onClick={onOpen && (() => onOpen(row))}
      sx={{ listStyle: "none", px: 2, py: 1.5, borderBottom: "1px solid var(--df-line)", cursor: onOpen ? "pointer" : "default", backgroundColor: selected ? "var(--df-selected)" : undefined, "&:last-child": { borderBottom: 0 } }}
    >
      <Box sx={{ display: "flex", flexWrap: "wrap", alignItems: "center", columnGap: 1.5, rowGap: 0.5, mb: 0.75 }}>
        {onChoose && check("Choose the card", chosen, onChoose)}
        {head.map((c) => (
          <Box key={c.id} sx={{ minWidth: 0, fontSize: 14 }}>
            {c.cell(row)}
          </Box>
        ))}
        {actions.map((c) => (
          <Box key={c.id} sx={{ ml: "auto" }}>
            {c.cell(row)}
          </Box>
        ))}
      </Box>
      <Box component="dl" sx={{ m: 0, display: "grid", gridTemplateColumns: "96px minmax(0,1fr)", rowGap: 0.25, fontSize: 13 }}>
        {rest.map((c) => {
          const value = c.cell(row);
          return value === null || value === "" ? null : (
            <Box key={c.id} sx={{ display: "contents" }}>
              <Box component="dt" sx={{ color: "var(--df-muted)" }}>
                {c.header}
              </Box>
              <Box component="dd" sx={{ m: 0, minWidth: 0, overflowWrap: "anywhere" }}>
                {value}
              </Box>
            </Box>
          );
        })}
      </Box>
    </Box>
  );
}

export function sortRows<T>(rows: T[], columns: Column<T>[], order: string): T[] {
  const down = order.startsWith("-");
  const value = columns.find((c) => c.id === order.replace(/^-/, ""))?.sort;
  if (!value) return rows;
  const sign = down ? -1 : 1;
  return rows
    .map((row, i) => ({ row, i, v: value(row) }))
    .sort((a, b) => (a.v < b.v ? -sign : a.v > b.v ? sign : a.i - b.i))
    .map((x) => x.row);
}

/** A list of objects: sortable by URL, j/k/Enter by keyboard, cards of the same facts on a phone. */
export function DataTable<T>({ label, columns, rows, rowKey, onOpen, selected, kind, defaultSort = "", keys = true, chosen, onChoose }: Props<T>) {
  const phone = useMediaQuery("(max-width:700px)");
  const [order, setOrder] = useUrlState("sort", defaultSort);
  const [cursor, setCursor] = useState<string | null>(null);
  const sorted = sortRows(rows, columns, order);
  const at = sorted.findIndex((r) => rowKey(r) === cursor);
  const step = (by: number) => {
    const next = sorted[Math.max(0, Math.min(sorted.length - 1, at < 0 ? 0 : at + by))];
    if (next) setCursor(rowKey(next));
  };
  const toggle = (key: string) => {
    const next = new Set(chosen);
    if (!next.delete(key)) next.add(key);
    onChoose?.(next);
  };
  const chooser = (key: string) => (onChoose ? { chosen: chosen?.has(key), onChoose: () => toggle(key) } : {});
  useHotkeys(
    {
      j: () => step(1),
      k: () => step(-1),
      ...(onChoose && cursor !== null && at >= 0 ? { x: () => toggle(cursor) } : {}),
      Enter: (event) => {
        const row = sorted[at];
        if (row && onOpen && document.activeElement === document.body) onOpen(row);
        else (event.target as HTMLElement).click?.();
      },
    },
    keys && !!onOpen,
  );

  if (phone) {
    return (
      <Box component="ul" aria-label={label} sx={{ m: 0, p: 0 }}>
        {sorted.map((row) => (
          <CardRow key={rowKey(row)} row={row} columns={columns} onOpen={onOpen} selected={rowKey(row) === selected} {...chooser(rowKey(row))} />
        ))}
      </Box>
    );
  }
  return (
    <Box sx={{ overflowX: "auto", position: "relative" }} tabIndex={0} role="region" aria-label={label}>
      <Table aria-label={label} sx={{ minWidth: 720 }}>
        <TableHead>
          <TableRow>
            {onChoose && <TableCell sx={{ width: 36, pr: "0 !important" }}>{check("Choose all rows", sorted.length > 0 && sorted.every((r) => chosen?.has(rowKey(r))), () => onChoose(sorted.every((r) => chosen?.has(rowKey(r))) ? new Set() : new Set(sorted.map(rowKey))))}</TableCell>}
            {columns.map((c) => {
              const active = order.replace(/^-/, "") === c.id;
              const direction = active && order.startsWith("-") ? "desc" : "asc";
              return (
                <TableCell key={c.id} align={c.align} sx={{ width: c.width }} sortDirection={active ? direction : false}>
                  {c.sort ? (
                    <TableSortLabel active={active} direction={direction} onClick={() => setOrder(active && direction === "asc" ? `-${c.id}` : c.id)}>
                      {c.header}
                    </TableSortLabel>
                  ) : c.header ? (
                    <Box component="span" sx={{ display: "inline-flex", alignItems: "center", verticalAlign: "middle" }}>{c.header}</Box>
                  ) : (
                    <span className="df-hidden">Actions</span>
                  )}
                </TableCell>
              );
            })}
          </TableRow>
        </TableHead>
        <TableBody>
          {sorted.map((row) => {
            const id = rowKey(row);
            return <Row key={id} row={row} id={id} columns={columns} onOpen={onOpen} current={id === cursor} selected={id === selected} kind={kind} {...chooser(id)} />;
          })}
        </TableBody>
      </Table>
    </Box>
  );
}
