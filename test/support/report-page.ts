import { type DefaultTreeAdapterTypes, html as namespaces, type ParserError, parse } from 'parse5';

type Node = DefaultTreeAdapterTypes.Node;
type Element = DefaultTreeAdapterTypes.Element;

/** A page as an HTML parser reads it. */
export interface Page {
  /** What the parser complained of. */
  errors: ParserError[];
  elements: Element[];
}

/** A point of a curve, or a tick of an axis. */
export type Point = readonly [x: number, y: number];

export function parsePage(text: string): Page {
  const errors: ParserError[] = [];
  const document = parse(text, { onParseError: error => errors.push(error), sourceCodeLocationInfo: false });
  return { errors, elements: descendants(document) };
}

/** All elements below a node, in the order of the document. */
export function descendants(node: Node): Element[] {
  const children = 'childNodes' in node ? node.childNodes : [];
  return children.flatMap(child => ('tagName' in child ? [child, ...descendants(child)] : []));
}

/** The text within a node. */
export function textOf(node: Node): string {
  if ('value' in node) return node.value;
  return 'childNodes' in node ? node.childNodes.map(textOf).join('') : '';
}

export function attribute(element: Element, name: string): string | undefined {
  return element.attrs.find(attr => attr.name === name)?.value;
}

/** The first element with a tag and an attribute. */
export function find({ elements }: Page, tag: string, name: string, value: string): Element {
  const element = elements.find(each => each.tagName === tag && attribute(each, name) === value);
  if (!element) throw new Error(`there is no <${tag} ${name}="${value}">`);
  return element;
}

/** A chart of a page, by its id. */
export function chartOf(page: Page, id: string): Element {
  const svg = find(page, 'svg', 'aria-labelledby', `${id}-title`);
  if (svg.namespaceURI !== namespaces.NS.SVG) throw new Error(`${id} is no SVG`);
  return svg;
}

/** The points of the curves with a colour, in the numbers of the axes, which are read off the labels of the ticks. */
export function curvesOf(chart: Element, colour: string): Point[][] {
  const labels = descendants(chart).filter(({ tagName }) => tagName === 'text');
  const ticks = labels.map(label => ({ at: positionOf(label), value: numberOf(textOf(label)) }));
  const anchors = labels.map(label => attribute(label, 'text-anchor'));
  const scale = (kind: string, axis: 0 | 1): ((position: number) => number) => {
    const own = ticks.filter(({ value }, i) => anchors[i] === kind && !Number.isNaN(value));
    const [first, last] = [own[0]!, own.at(-1)!];
    const perUnit = (last.value - first.value) / (last.at[axis] - first.at[axis]);
    return position => first.value + (position - first.at[axis]) * perUnit;
  };
  const [xOf, yOf] = [scale('middle', 0), scale('end', 1)];
  return descendants(chart)
    .filter(each => each.tagName === 'path' && attribute(each, 'stroke') === colour)
    .map(path => pointsOf(attribute(path, 'd')!).map(([x, y]): Point => [xOf(x), yOf(y)]));
}

function positionOf(label: Element): Point {
  const [x, y] = attribute(label, 'transform')!
    .match(/-?[\d.]+/g)!
    .map(Number);
  return [x!, y!];
}

/** The ends of the lines of a path. */
function pointsOf(path: string): Point[] {
  return Array.from(path.matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g), match => [Number(match[1]), Number(match[2])]);
}

/** The number of a label: 20k, 5e-4, 80 %. */
function numberOf(label: string): number {
  if (label.endsWith(' %')) return Number(label.slice(0, -2)) / 100;
  return label.endsWith('k') ? 1000 * Number(label.slice(0, -1)) : Number(label);
}
