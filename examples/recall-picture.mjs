// Draws the table of docs/evaluating.md: recall@1 of a text index, the untrained embedding and the trained embedding.
//
//   node examples/recall-picture.mjs > docs/recall.svg

import { readFileSync } from 'node:fs';
import { BarChart, CustomChart } from 'echarts/charts';
import { GridComponent, LegendComponent, TitleComponent } from 'echarts/components';
import * as echarts from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';

echarts.use([BarChart, CustomChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

const TITLE = 'Held-out queries that find their answer at rank 1, percent';

const page = readFileSync(new URL('../docs/evaluating.md', import.meta.url), 'utf8');
const [table] = page.match(/^\| Pairs \(held out\)(.*\n\|)*.*$/m);
const [header, , ...sets] = table.split('\n').map(line =>
  line
    .split('|')
    .slice(1, -1)
    .map(cell => cell.trim()),
);
const names = header.slice(1);
const GAPS = { barGap: '10%', barCategoryGap: '30%' };
const colours = ['#c3cad5', '#8fa7c8', '#2457a6'];
const rows = sets.map(([set, ...cells]) => ({ set: shorten(set), cells: cells.map(parse) }));

const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: 760, height: 320 });
chart.setOption({
  animation: false,
  backgroundColor: '#ffffff',
  title: {
    text: TITLE,
    left: 8,
    top: 6,
    textStyle: { fontSize: 14 },
  },
  legend: { top: 32, left: 8, itemGap: 18 },
  grid: { left: 40, right: 12, top: 66, bottom: 40 },
  xAxis: { type: 'category', data: rows.map(row => row.set), axisTick: { show: false }, axisLabel: { fontSize: 12 } },
  yAxis: { type: 'value', max: 100 },
  series: names.flatMap((name, i) => [
    {
      name,
      type: 'bar',
      ...GAPS,
      itemStyle: { color: colours[i] },
      data: rows.map(row => row.cells[i].recall),
      label: { show: true, position: 'insideBottom', fontSize: 11, color: i === 2 ? '#ffffff' : '#1c2430' },
    },
    interval(
      rows.map(row => row.cells[i]),
      i,
    ),
  ]),
});
process.stdout.write(chart.renderToSVGString().replace('>', ` role="img"><title>${TITLE}</title>`));
chart.dispose();

/** The 95 % intervals of the bars of series `i`, as lines over the bars. */
function interval(cells, i) {
  return {
    type: 'custom',
    silent: true,
    z: 5,
    data: cells.map(({ low, high }, set) => [set, low, high]),
    renderItem: (_, api) => {
      const bar = api.barLayout({ ...GAPS, count: names.length })[i];
      const [x, low] = api.coord([api.value(0), api.value(1)]);
      const [, high] = api.coord([api.value(0), api.value(2)]);
      const middle = x + bar.offset + bar.width / 2;
      const line = (x1, y1, x2, y2) => ({ type: 'line', shape: { x1, y1, x2, y2 }, style: { stroke: '#1c2430' } });
      return {
        type: 'group',
        children: [
          line(middle, low, middle, high),
          line(middle - 4, low, middle + 4, low),
          line(middle - 4, high, middle + 4, high),
        ],
      };
    },
  };
}

/** "**91.9 / 99.6** (90.1–93.8)": recall@1, recall@10 and the interval of recall@1. */
function parse(cell) {
  const [recall, , low, high] = cell.match(/[\d.]+/g).map(Number);
  return { recall, low, high };
}

function shorten(set) {
  return set.replace(/:.*\(/, ' (').replace(' (', '\n(');
}
