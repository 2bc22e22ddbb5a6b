/** A piece of HTML that is safe to insert as it stands. Only the template {@link html} and {@link trusted} make one. */
export class Html {
  constructor(readonly text: string) {}
}

/** What a template takes: texts, which are escaped, numbers, pieces of HTML, and lists of these. */
export type HtmlPart = Html | string | number | undefined | readonly HtmlPart[];

/**
 * A template of HTML. Every text that is inserted is escaped, in an element or in an attribute with double quotes. An
 * `undefined` inserts nothing.
 */
export function html(strings: TemplateStringsArray, ...parts: HtmlPart[]): Html {
  return new Html(strings.reduce((before, string, i) => before + markupOf(parts[i - 1]) + string));
}

/** Marks markup that the library wrote itself. */
export function trusted(markup: string): Html {
  return new Html(markup);
}

/**
 * A text as characters of HTML. Control characters become visible symbols. Halves of surrogate pairs and noncharacters,
 * which no HTML file can hold, become U+FFFD.
 */
export function escapeHtml(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .replaceAll(CONTROLS, symbolOf)
    .replaceAll(UNWRITABLE, '\uFFFD')
    .replaceAll(SPECIAL, character => ENTITIES[character]!);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const CONTROLS = /[\u0000-\u0008\u000B-\u001F\u007F-\u009F]/g;
const UNWRITABLE = /[\p{Surrogate}\p{Noncharacter_Code_Point}]/gu;
const SPECIAL = /[&<>"']/g;
const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** The symbol of a control character, such as ␀. Those above U+007F have none. */
function symbolOf(control: string): string {
  const code = control.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  return code === 0x7f ? '\u2421' : '\uFFFD';
}

function markupOf(part: HtmlPart): string {
  if (part === undefined) return '';
  if (part instanceof Html) return part.text;
  if (typeof part === 'object') return part.map(markupOf).join('');
  return escapeHtml(String(part));
}
