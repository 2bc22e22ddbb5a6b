import { LineChart } from 'echarts/charts';
import { GridComponent } from 'echarts/components';
import * as echarts from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';

echarts.use([LineChart, GridComponent, SVGRenderer]);

/** A line that grows. `describe` turns the last point into a text for readers of the screen. */
export function lineChart(element, { max, describe }) {
  const chart = echarts.init(element, null, { renderer: 'svg' });
  const points = [];
  let isDue = false;
  const draw = () => {
    isDue = false;
    const style = getComputedStyle(document.documentElement);
    const [faint, line, accent] = ['--faint', '--line', '--accent'].map(name => style.getPropertyValue(name));
    const axis = {
      axisLabel: { color: faint },
      axisLine: { lineStyle: { color: line } },
      splitLine: { lineStyle: { color: line } },
    };
    chart.setOption({
      animation: false,
      grid: { left: 44, right: 12, top: 12, bottom: 28 },
      xAxis: { type: 'value', min: 'dataMin', max: 'dataMax', minInterval: 1, ...axis, splitLine: { show: false } },
      yAxis: { type: 'value', min: 0, max, ...axis },
      series: [
        {
          type: 'line',
          data: points,
          showSymbol: points.length < 30,
          lineStyle: { color: accent },
          itemStyle: { color: accent },
        },
      ],
    });
    if (points.length > 0) element.setAttribute('aria-label', describe(points.at(-1)));
  };
  const ask = () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(draw);
  };
  new ResizeObserver(() => chart.resize()).observe(element);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', ask);
  return {
    add(x, y) {
      points.push([x, y]);
      ask();
    },
    clear() {
      points.length = 0;
      ask();
    },
  };
}
