import { type Html, html } from './html.js';

/** A table of numbers whose first column names its rows. */
interface Table {
  /** Names the region that scrolls. */
  label: string;
  caption: string | Html;
  columns: readonly (string | Html)[];
  rows: readonly { head: string | Html; cells: readonly (string | Html)[] }[];
}

/** A table that scrolls by itself where it is wider than the page. */
export function table({ label, caption, columns, rows }: Table): Html {
  return html`<div class="scroll" role="region" tabindex="0" aria-label="${label}">
<table class="numeric">
<caption><span>${caption}</span></caption>
<thead><tr><td></td>${columns.map(column => html`<th scope="col"><span>${column}</span></th>`)}</tr></thead>
<tbody>
${rows.map(
  ({
    head,
    cells,
  }) => html`<tr><th scope="row"><span>${head}</span></th>${cells.map(cell => html`<td>${cell}</td>`)}</tr>
`,
)}</tbody>
</table>
</div>
`;
}
