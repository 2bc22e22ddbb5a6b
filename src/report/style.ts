import { COLOUR_RULES } from './colours.js';

/** The style sheet of a report. */
export const STYLE = `${COLOUR_RULES}
* { box-sizing: border-box; }
html { color-scheme: light dark; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: anywhere; }
main { max-width: 1040px; margin: 0 auto; padding: 24px 16px 64px; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 8px; }
h2 { font-size: 1.25rem; margin: 48px 0 12px; padding-bottom: 6px; border-bottom: 1px solid var(--grid); }
h3 { font-size: 1rem; margin: 0 0 8px; }
caption, .lead, dt, small { color: var(--faint); }
.lead { margin: 0; white-space: pre-line; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); gap: 24px 32px; }
figure { margin: 0; min-width: 0; max-width: 560px; }
figcaption { font-weight: 600; }
figure > svg { display: block; width: 100%; height: auto; }
.note { margin: 4px 0 0; color: var(--faint); font-size: .875rem; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 20px; margin: 0 0 10px; padding: 0; list-style: none; font-size: .875rem; color: var(--text); }
.note .legend { margin: 0 0 2px; }
.legend svg { margin-right: 4px; vertical-align: middle; }
.tables { display: flex; flex-wrap: wrap; gap: 0 28px; }
.scroll { overflow-x: auto; margin: 24px 0 0; max-width: 100%; }
table { border-collapse: collapse; font-size: .875rem; }
caption { text-align: left; padding: 0 0 6px; font-weight: 600; color: var(--text); }
th, td { padding: 5px 12px 5px 0; border-bottom: 1px solid var(--grid); text-align: start; vertical-align: top; font-weight: normal; }
.numeric { font-variant-numeric: tabular-nums; overflow-wrap: break-word; }
.numeric td, .numeric thead th { text-align: right; padding: 5px 0 5px 20px; }
.numeric thead th { vertical-align: bottom; color: var(--faint); }
.numeric thead td { padding: 0; }
.numeric th > span, caption > span { display: inline-block; max-width: 16em; min-width: 3em; }
caption > span { max-width: 26em; }
.numeric tbody th > span { min-width: 8em; }
.numeric tr > :first-child { position: sticky; left: 0; background: var(--page); text-align: left; padding-left: 0; }
.numeric small { display: block; white-space: nowrap; }
.score { display: inline-block; min-width: 4.5em; padding: 1px 8px; border-radius: 4px; background: color-mix(in srgb, var(--curve-1) var(--depth), transparent); print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.example { margin: 0 0 16px; padding: 14px 16px; border: 1px solid var(--grid); border-radius: 8px; break-inside: avoid; }
.example dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); gap: 12px 24px; margin: 0; font-size: .875rem; }
.example .answer { grid-column: 1 / -1; }
.example dd { margin: 0; }
.example ol { margin: 0; padding-inline-start: 1.6em; }
.example li, .example dd, .example h3 { white-space: pre-wrap; }
.right { font-weight: 600; }
.mark { color: var(--curve-3); }
.rank { font-weight: 600; color: var(--text); }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.settings { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); gap: 24px 32px; align-items: start; }
.settings table { width: 100%; }
.settings th { color: var(--faint); width: 45%; }
.settings td { font-variant-numeric: tabular-nums; white-space: pre-wrap; }
@media print {
  @page { margin: 16mm; }
  main { max-width: none; padding: 0; }
  h2 { margin-top: 28px; break-after: avoid; }
  figure, tr, .settings table { break-inside: avoid; }
  .charts, .example dl, .settings { grid-template-columns: 1fr 1fr; }
  .scroll { overflow: visible; }
  .numeric tr > :first-child { position: static; }
  body { font-size: 11pt; }
}
`;
