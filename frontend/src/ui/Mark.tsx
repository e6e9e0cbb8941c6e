/** The product's mark: a container crane's hook in a wave, as one line. */
export function Mark({ size = 26 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" fill="#4f46e5" />
      <g fill="none" stroke="#fff" strokeWidth="2.4" strokeLinecap="round" strokeLinejoin="round">
        <path d="M6 23.500c2.5 0 2.5-2 5-2s2.5 2 5 2 2.5-2 5-2 2.5 2 5 2" />
        <rect x="7.5" y="11" width="7" height="6" rx="1.2" />
        <rect x="17.5" y="11" width="7" height="6" rx="1.2" />
        <path d="M12.5 7h7" />
      </g>
    </svg>
  );
}
