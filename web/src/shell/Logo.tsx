export function Logo({ size = 28 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="#0b7285" />
      <path d="M7 11h18M7 16h12M7 21h6" stroke="#fff" strokeWidth="3" strokeLinecap="round" />
    </svg>
  );
}
