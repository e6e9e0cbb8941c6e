import { useEffect, useRef } from "react";
import { useBlocker } from "react-router";
import { ConfirmDialog } from "../dialogs";

/** Asks before unsaved changes are left, by a link, the back button or by closing the tab. */
export function Unsaved({ dirty, what, leaving }: { dirty: boolean; what: string; /** Set when the page leaves on purpose. */ leaving?: React.RefObject<boolean> }) {
  const held = useRef(dirty);
  held.current = dirty;
  const blocker = useBlocker(({ currentLocation, nextLocation }) => held.current && !leaving?.current && currentLocation.pathname !== nextLocation.pathname && !nextLocation.pathname.startsWith("/login"));
  useEffect(() => {
    if (!dirty) return;
    const stay = (e: BeforeUnloadEvent) => {
      if (!leaving?.current) e.preventDefault();
    };
    window.addEventListener("beforeunload", stay);
    return () => window.removeEventListener("beforeunload", stay);
  }, [dirty, leaving]);
  return (
    <ConfirmDialog open={blocker.state === "blocked"} title="Leave without saving?" verb="Leave" onClose={() => blocker.state === "blocked" && blocker.reset()} onConfirm={() => (blocker.state === "blocked" ? blocker.proceed() : undefined)}>
      {what} is not saved.
    </ConfirmDialog>
  );
}
