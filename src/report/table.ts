import { type Html, html } from './html.js';

/** A table whose first column names its rows. */
interface Table {
  caption: string | Html;
  columns: readonly (string | Html)[];
  rows: readonly { head: string | Html; cells: readonly (string | Html)[] }[];
  /** Whether cells hold numbers, which stand at the right. */
  numeric?: boolean;
}

/** A table that scrolls by itself where it is wider than the page. */
export function table({ caption, columns, rows, numeric = false }: Table): Html {
  return html`<div class="scroll" role="region" tabindex="0" aria-label="Table: ${caption}">
<table${numeric ? html` class="numeric"` : undefined}>
<caption>${caption}</caption>
<thead><tr><td></td>${columns.map(column => html`<th scope="col">${column}</th>`)}</tr></thead>
<tbody>
${rows.map(
  ({ head, cells }) => html`<tr><th scope="row">${head}</th>${cells.map(cell => html`<td>${cell}</td>`)}</tr>
`,
)}</tbody>
</table>
</div>
`;
}
