import { ArrowDown, ArrowUp, CaseSensitive, Clock, Copy, Download, Filter, Maximize2, Minimize2, Pause, Play, Regex, Search, Trash2, WrapText } from "lucide-react";
import { useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState, type ReactNode } from "react";
import { copyText } from "../atoms";
import { saveText } from "../save";
import { parseAnsi, type Span } from "./ansi";
import "./logs.css";
import { LogModel } from "./model";
import type { LogLine } from "./ring";
import { expandTabs } from "./rows";
import { rangesOf } from "./search";
import { LogStream, type StreamState } from "./stream";

const ROW = 20;
const OVERSCAN = 12;
const RAIL = 12;
const MAX_DRAWN = 8_192;
const stateText: Record<StreamState, string> = { connecting: "connecting", live: "live", reconnecting: "reconnecting", ended: "ended" };

const colour = (c: number | string | undefined) => (typeof c === "number" ? `var(--c${c})` : c);
const styleOf = (s: Span): React.CSSProperties | undefined =>
  s.fg === undefined && s.bg === undefined && !s.bold && !s.dim && !s.italic && !s.underline
    ? undefined
    : {
        color: colour(s.fg),
        backgroundColor: colour(s.bg),
        fontWeight: s.bold ? 700 : undefined,
        opacity: s.dim ? 0.7 : undefined,
        fontStyle: s.italic ? "italic" : undefined,
        textDecoration: s.underline ? "underline" : undefined,
      };

/** Spans of a line with the search hits cut out as marks; the text only ever becomes text nodes. */
export function renderLine(text: string, re: RegExp | null): ReactNode[] {
  const spans = parseAnsi(expandTabs(text.slice(0, MAX_DRAWN)));
  const hits = re ? rangesOf(spans.map((s) => s.text).join(""), re) : [];
  const out: ReactNode[] = [];
  let at = 0;
  let key = 0;
  for (const span of spans) {
    const end = at + span.text.length;
    const style = styleOf(span);
    let from = at;
    for (const [a, b] of hits) {
      if (b <= from || a >= end) continue;
      const start = Math.max(a, from);
      if (start > from) out.push(<span key={key++} style={style}>{span.text.slice(from - at, start - at)}</span>);
      const stop = Math.min(b, end);
      out.push(<mark key={key++}>{span.text.slice(start - at, stop - at)}</mark>);
      from = stop;
    }
    if (from < end) out.push(<span key={key++} style={style}>{span.text.slice(from - at)}</span>);
    at = end;
  }
  return out;
}

const timeText = (time: number | null) => (time === null ? "" : new Date(time).toISOString().slice(11, 23));

function Line({ line, top, height, now, times, re }: { line: LogLine; top: number; height: number; now: boolean; times: boolean; re: RegExp | null }) {
  const note = line.kind !== "stdout" && line.kind !== "stderr";
  return (
    <div className={`df-log-row ${line.kind}${now ? " now" : ""}`} style={{ top, height }}>
      <span className="df-log-rail" aria-hidden />
      {times && <span className="df-log-time">{timeText(line.time).padEnd(12)}</span>}
      <span className={note ? "df-log-text df-log-note" : "df-log-text"}>{note ? `— ${line.text} —` : renderLine(line.text, re)}</span>
    </div>
  );
}

function Toggle({ on, label, onClick, children, disabled }: { on?: boolean; label: string; onClick: () => void; children: ReactNode; disabled?: boolean }) {
  return (
    <button type="button" className="df-log-toggle" aria-pressed={on} aria-label={label} title={label} onClick={onClick} disabled={disabled}>
      {children}
    </button>
  );
}

interface Props {
  containerId: string;
  name: string;
  height?: number | string;
  capacity?: number;
}

/** The live log of one container. */
export function LogViewer({ containerId, name, height = 560, capacity }: Props) {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const model = useMemo(() => new LogModel(capacity), [containerId, capacity]); // eslint-disable-line react-hooks/exhaustive-deps
  const view = useRef<HTMLDivElement>(null);
  const ruler = useRef<HTMLSpanElement>(null);
  const [state, setState] = useState<StreamState>("connecting");
  const [follow, setFollow] = useState(true);
  const [seen, setSeen] = useState(0);
  const [wrap, setWrap] = useState(false);
  const [times, setTimes] = useState(true);
  const [text, setText] = useState("");
  const [regex, setRegex] = useState(false);
  const [matchCase, setMatchCase] = useState(false);
  const [filter, setFilter] = useState(false);
  const [current, setCurrent] = useState<number | null>(null);
  const [full, setFull] = useState(false);
  const [box, setBox] = useState({ top: 0, height: 400, width: 800 });
  const following = useRef(true);
  following.current = follow;
  const ownScroll = useRef(false);

  useEffect(() => {
    let waiting: LogLine[] = [];
    let frame = 0;
    const draw = () => {
      frame = 0;
      model.add(waiting);
      waiting = [];
      redraw();
    };
    const stream = new LogStream({
      containerId,
      onLines: (lines) => {
        waiting.push(...lines);
        // A hidden tab gets no frames; the ring must not grow behind it.
        if (waiting.length > 20_000) draw();
        else frame ||= requestAnimationFrame(draw);
      },
      onState: setState,
    });
    return () => {
      cancelAnimationFrame(frame);
      stream.close();
    };
  }, [containerId, model]);

  const charWidth = (ruler.current?.getBoundingClientRect().width ?? 75) / 10;
  const columns = Math.max(10, Math.floor((box.width - RAIL - (times ? charWidth * 12 + 12 : 0)) / charWidth));
  useMemo(() => model.setLayout({ wrap, columns, filter: filter && !!text }), [model, wrap, columns, filter, text]);
  useEffect(() => {
    model.setQuery({ text, regex, matchCase });
    setCurrent(null);
    let handle = 0;
    const step = () => {
      const more = model.work();
      redraw();
      if (more) handle = requestAnimationFrame(step);
    };
    step();
    return () => cancelAnimationFrame(handle);
  }, [model, text, regex, matchCase]);

  useLayoutEffect(() => {
    const el = view.current;
    if (!el) return;
    const watch = new ResizeObserver(() => setBox((b) => ({ ...b, height: el.clientHeight, width: el.clientWidth })));
    watch.observe(el);
    return () => watch.disconnect();
  }, []);

  const total = model.rows.rows * ROW;
  useLayoutEffect(() => {
    const el = view.current;
    if (!el) return;
    const gone = model.takeGoneRows() * ROW;
    const want = following.current ? el.scrollHeight : gone ? el.scrollTop - gone : null;
    if (want === null) return;
    ownScroll.current = true;
    el.scrollTop = want;
    if (el.scrollTop !== box.top) setBox((b) => ({ ...b, top: el.scrollTop }));
  });

  const onScroll = () => {
    const el = view.current;
    if (!el) return;
    const atEnd = el.scrollHeight - el.scrollTop - el.clientHeight < ROW;
    const up = el.scrollTop < box.top - 1;
    setBox((b) => (b.top === el.scrollTop ? b : { ...b, top: el.scrollTop }));
    if (ownScroll.current) ownScroll.current = false;
    else if (up && follow && !atEnd) {
      setFollow(false);
      setSeen(model.ring.end);
    } else if (atEnd && !follow) setFollow(true);
  };

  const count = model.matches?.count ?? 0;
  const goTo = useCallback(
    (direction: 1 | -1) => {
      const m = model.matches;
      if (!m?.count) return;
      const from = current ?? model.rows.item(model.rows.find(Math.floor((view.current?.scrollTop ?? 0) / ROW))) ?? 0;
      const base = m.indexFrom(direction === 1 && current !== null ? from + 1 : from);
      const i = (direction === 1 ? base : base - 1 + m.count) % m.count;
      const line = m.nth(i);
      if (line === undefined) return;
      setFollow(false);
      setSeen(model.ring.end);
      setCurrent(line);
      const top = model.rows.top(model.rows.position(line)) * ROW;
      view.current?.scrollTo({ top: Math.max(0, top - (view.current.clientHeight - ROW) / 2) });
    },
    [model, current],
  );

  const first = model.rows.length ? Math.max(0, model.rows.find(Math.floor(box.top / ROW)) - OVERSCAN) : 0;
  const drawn: ReactNode[] = [];
  for (let i = first; i < model.rows.length; i++) {
    const top = model.rows.top(i) * ROW;
    if (top > box.top + box.height + OVERSCAN * ROW) break;
    const n = model.rows.item(i);
    const line = n === undefined ? undefined : model.ring.at(n);
    if (!line || n === undefined) continue;
    drawn.push(<Line key={n} line={line} top={top} height={model.rows.top(i + 1) * ROW - top} now={n === current} times={times} re={model.re} />);
  }
  const fresh = follow ? 0 : model.ring.end - seen;
  const position = current !== null && model.matches ? model.matches.indexFrom(current) + 1 : 0;

  return (
    <div className={full ? "df-log df-log-full" : "df-log"} style={{ height }} onKeyDown={(e) => e.key === "Escape" && full && setFull(false)}>
      <div className="df-log-bar" role="toolbar" aria-label="Log tools">
        <div className="df-log-search">
          <Search size={14} aria-hidden />
          <input
            value={text}
            aria-label="Search in log"
            aria-invalid={!!model.error}
            placeholder="Search"
            onChange={(e) => setText(e.target.value)}
            onKeyDown={(e) => {
              if (e.key === "Enter") goTo(e.shiftKey ? -1 : 1);
            }}
          />
          {text && (
            <span className="df-log-count" role="status" title={model.error ?? undefined}>
              {model.error ? "bad pattern" : position ? `${position.toLocaleString("en")}/${count.toLocaleString("en")}` : count.toLocaleString("en")}
            </span>
          )}
          <Toggle label="Match case" on={matchCase} onClick={() => setMatchCase(!matchCase)}>
            <CaseSensitive size={15} />
          </Toggle>
          <Toggle label="Regular expression" on={regex} onClick={() => setRegex(!regex)}>
            <Regex size={14} />
          </Toggle>
        </div>
        <Toggle label="Previous match" onClick={() => goTo(-1)} disabled={!count}>
          <ArrowUp size={15} />
        </Toggle>
        <Toggle label="Next match" onClick={() => goTo(1)} disabled={!count}>
          <ArrowDown size={15} />
        </Toggle>
        <Toggle label="Show matching lines only" on={filter} onClick={() => setFilter(!filter)}>
          <Filter size={15} />
        </Toggle>
        <span style={{ flex: 1 }} />
        <Toggle label={follow ? "Following" : "Follow"} on={follow} onClick={() => (follow ? (setFollow(false), setSeen(model.ring.end)) : setFollow(true))}>
          {follow ? <Pause size={14} /> : <Play size={14} />}
          {follow ? "Following" : "Follow"}
        </Toggle>
        <Toggle label="Timestamps" on={times} onClick={() => setTimes(!times)}>
          <Clock size={15} />
        </Toggle>
        <Toggle label="Wrap lines" on={wrap} onClick={() => setWrap(!wrap)}>
          <WrapText size={15} />
        </Toggle>
        <Toggle label="Clear view" onClick={() => (model.clear(), redraw())}>
          <Trash2 size={15} />
        </Toggle>
        <Toggle label={filter && text ? "Copy the matching lines" : "Copy the lines"} onClick={() => void copyText(model.toText(times, true), "Lines copied")}>
          <Copy size={14} />
        </Toggle>
        <Toggle label="Download" onClick={() => saveText(`${name}.log`, model.toText(times))}>
          <Download size={15} />
        </Toggle>
        <Toggle label={full ? "Leave full screen" : "Full screen"} on={full} onClick={() => setFull(!full)}>
          {full ? <Minimize2 size={15} /> : <Maximize2 size={15} />}
        </Toggle>
      </div>
      <div style={{ position: "relative", flex: 1, minHeight: 0, display: "flex" }}>
        <div ref={view} className={wrap ? "df-log-view df-log-wrap" : "df-log-view"} tabIndex={0} role="log" aria-live="off" aria-label={`Log of ${name}`} onScroll={onScroll}>
          <div style={{ height: total, position: "relative", minWidth: "max-content" }} />
          <div style={{ position: "absolute", top: 0, left: 0, right: 0 }}>{drawn}</div>
          <span ref={ruler} aria-hidden style={{ position: "absolute", top: 0, left: 0, visibility: "hidden" }}>
            0000000000
          </span>
        </div>
        {!model.rows.length && <div className="df-log-empty">{text && filter ? "No line matches" : state === "connecting" ? "Connecting" : "No output yet"}</div>}
        {!follow && (
          <button type="button" className="df-log-follow" onClick={() => setFollow(true)}>
            <ArrowDown size={14} /> {fresh > 0 ? `${fresh.toLocaleString("en")} new ${fresh === 1 ? "line" : "lines"}` : "To the end"}
          </button>
        )}
      </div>
      <div className="df-log-foot">
        <span role="status">{stateText[state]}</span>
        <span>{model.ring.size.toLocaleString("en")} lines</span>
        {model.ring.first > 0 && <span>{model.ring.first.toLocaleString("en")} older lines left the view</span>}
      </div>
    </div>
  );
}
