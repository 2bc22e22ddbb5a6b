/** Colours of charts, as CSS variables, so that one drawing suits light and dark pages. */
export const COLOURS = {
  /** Words and numbers of main importance. */
  text: 'var(--text)',
  /** Numbers at axes, and notes. */
  faint: 'var(--faint)',
  /** Lines of axes and tables. */
  grid: 'var(--grid)',
  /** What is drawn on. */
  page: 'var(--page)',
  /** Curves, in the order of use. */
  curves: ['var(--curve-1)', 'var(--curve-2)', 'var(--curve-3)', 'var(--curve-4)', 'var(--curve-5)', 'var(--curve-6)'],
} as const;

/** Patterns of dashes, one for each curve, so that curves differ without colours too. */
export const DASHES: readonly ('solid' | number[])[] = ['solid', [6, 4], [2, 3], [10, 3, 2, 3], [12, 5], [4, 2, 1, 2]];

/** Values of the variables. The contrast of texts with the page is at least 4.5 to 1, and of curves 3 to 1. */
const LIGHT = {
  text: '#1f2328',
  faint: '#59636e',
  grid: '#d1d9e0',
  page: '#ffffff',
  'curve-1': '#0969da',
  'curve-2': '#bc4c00',
  'curve-3': '#1a7f37',
  'curve-4': '#8250df',
  'curve-5': '#bf3989',
  'curve-6': '#57606a',
};

const DARK: typeof LIGHT = {
  text: '#f0f6fc',
  faint: '#9198a1',
  grid: '#3d444d',
  page: '#0d1117',
  'curve-1': '#58a6ff',
  'curve-2': '#f0883e',
  'curve-3': '#3fb950',
  'curve-4': '#bc8cff',
  'curve-5': '#f778ba',
  'curve-6': '#9198a1',
};

/** Rules that set the variables. Paper is light, whatever the screen is. */
export const COLOUR_RULES = `:root { ${declarations(LIGHT)} }
@media screen and (prefers-color-scheme: dark) { :root { ${declarations(DARK)} } }`;

function declarations(values: typeof LIGHT): string {
  return Object.entries(values)
    .map(([name, value]) => `--${name}: ${value};`)
    .join(' ');
}
