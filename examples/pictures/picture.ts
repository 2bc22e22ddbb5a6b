import { BarChart } from 'echarts/charts';
import { LegendComponent, TitleComponent } from 'echarts/components';
import { type EChartsCoreOption, use } from 'echarts/core';
import { COLOUR_RULES, COLOURS } from '../../src/report/colours.js';
import { type Drawing, svgChart } from '../../src/report/svg-chart.js';

use([BarChart, LegendComponent, TitleComponent]);

/**
 * A chart as an SVG file of its own, in the colours of the page that shows it, light or dark.
 *
 * @param rules Rules of CSS for colours of the picture's own.
 */
export function picture(drawing: Omit<Drawing, 'id'>, option: EChartsCoreOption, rules = ''): string {
  const svg = svgChart({ id: 'picture', ...drawing }, { backgroundColor: COLOURS.page, ...option });
  return `${svg.replace('</title>', `</title>\n<style>\n${COLOUR_RULES}${rules}\n</style>`)}\n`;
}
