import { CustomChart, LineChart } from 'echarts/charts';
import { GridComponent } from 'echarts/components';
import { type EChartsCoreOption, init, setPlatformAPI, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import { escapeHtml } from './html.js';

/** What a chart is, besides its contents. */
export interface Drawing {
  /** Identifies the chart within its page: a word. */
  id: string;
  /** Names the chart for those who do not see it. */
  title: string;
  /** Width of the drawing. One unit is one pixel at the size that it is made for. */
  width: number;
  height: number;
}

const FONT = 'system-ui, -apple-system, Segoe UI, Roboto, sans-serif';

/** The renderer of charts as text. The declarations of ECharts do not have it. */
interface SvgPainter {
  renderToString(options: { cssAnimation: boolean; cssEmphasis: boolean }): string;
}

/**
 * Draws a chart of Apache ECharts as an SVG element. The same option gives the same text, in every runtime and whatever
 * was drawn before.
 *
 * @param option An option of ECharts. Its texts are escaped.
 */
export function svgChart({ id, title, width, height }: Drawing, option: EChartsCoreOption): string {
  setUp();
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height });
  try {
    chart.setOption({ animation: false, textStyle: { fontFamily: FONT }, ...option });
    const painter = chart.getZr().painter as unknown as SvgPainter;
    const svg = painter.renderToString({ cssAnimation: false, cssEmphasis: false });
    return cleaned(svg, id).replace(
      /^<svg[^>]*>/,
      `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
        `font-family="${FONT}" role="img" aria-labelledby="${id}-title">\n<title id="${id}-title">${escapeHtml(title)}</title>`,
    );
  } finally {
    chart.dispose(); // A chart holds a timer.
  }
}

let isSetUp = false;

/** Happens at the first chart, so that an import alone has no effect. */
function setUp(): void {
  if (isSetUp) return;
  use([CustomChart, LineChart, GridComponent, SVGRenderer]);
  // Without a canvas, browsers estimate the width of texts as other runtimes do.
  setPlatformAPI({ createCanvas: () => null as never });
  isSetUp = true;
}

/**
 * Without what serves events and what cannot be seen, and with the font named once. The ids are the chart's own, in place
 * of those that count all charts.
 */
function cleaned(svg: string, id: string): string {
  return svg
    .replaceAll(/ (ecmeta_\w+|pointer-events|class)="[^"]*"/g, '')
    .replaceAll(/<(path|rect)[^>]* fill-opacity="0"[^>]* stroke-width="0"[^>]*><\/\1>\n?/g, '')
    .replaceAll(`font-family:${FONT};`, '')
    .replaceAll(/(id="|url\(#)zr\d+-/g, `$1${id}-`);
}
