import { LineChart, CustomChart } from 'echarts/charts';
import { GridComponent } from 'echarts/components';
import * as echarts from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
echarts.use([LineChart, CustomChart, GridComponent, SVGRenderer]);
const c = echarts.init(null,null,{renderer:'svg',ssr:true,width:440,height:280});
c.setOption({animation:false, grid:{left:50,right:10,top:10,bottom:40}, xAxis:{type:'value',name:'step',axisLine:{lineStyle:{color:'var(--x)'}}}, yAxis:{type:'value',scale:true,axisLabel:{color:'var(--t)'}}, series:[{type:'line',symbol:'circle',silent:true,lineStyle:{color:'var(--a)'},itemStyle:{color:'var(--a)'},data:[[0,1],[1,.5],[2,.3]]}]});
console.log(c.renderToSVGString());
console.log(c.renderToSVGString({cssEmphasis:false,cssAnimation:false}).length);
