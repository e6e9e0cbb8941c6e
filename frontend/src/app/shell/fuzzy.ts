/**
 * How well a query fits a text: every letter in order, better for runs, word starts and short texts. Null when it
 * does not fit.
 */
export function fuzzy(query: string, text: string): number | null {
  const q = query.toLowerCase().replace(/\s+/g, "");
  const t = text.toLowerCase();
  if (!q) return 0;
  const direct = t.indexOf(query.toLowerCase().trim());
  if (direct >= 0) return 1000 - direct * 2 - t.length * 0.1 + (direct === 0 ? 100 : 0);
  let score = 0;
  let at = -1;
  for (const c of q) {
    const next = t.indexOf(c, at + 1);
    if (next < 0) return null;
    const start = next === 0 || /[\s/_.:-]/.test(t.charAt(next - 1));
    score += (next === at + 1 ? 8 : 0) + (start ? 10 : 0) - (next - at) * 0.2;
    at = next;
  }
  return score - t.length * 0.1;
}
