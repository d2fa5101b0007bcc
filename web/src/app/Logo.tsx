/** The mark: a tree whose steps are bars in time. */
export function Logo({ size = 20 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" fill="var(--accent-fill)" />
      <path
        d="M8 8v13a3 3 0 0 0 3 3h2.5M8 14.5h5.5"
        fill="none"
        stroke="#fff"
        strokeWidth="2.4"
        strokeLinecap="round"
      />
      <rect x="16" y="6" width="10" height="4.4" rx="2.2" fill="#fff" opacity=".6" />
      <rect x="16" y="12.4" width="7" height="4.4" rx="2.2" fill="#fff" opacity=".8" />
      <rect x="16" y="21.8" width="10" height="4.4" rx="2.2" fill="#fff" />
    </svg>
  );
}
