/** How the page looks: light or dark as the reader's system is, no font or image from elsewhere. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #f4f6f8; --card: #ffffff; --line: #e1e6eb; --text: #18222d; --quiet: #66737f; --faint: #eef2f5;
  --accent: #0b7a75; --second: #b4540a; --third: #5b4bc4; --good: #11753b; --warn: #9a5b00; --bad: #b42318;
  --good-ground: #e2f4e9; --warn-ground: #fdf0d8; --bad-ground: #fde7e4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #10151a; --card: #182028; --line: #2a343e; --text: #e4eaf0; --quiet: #93a1ae; --faint: #1f2932;
    --accent: #35c2b8; --second: #f0a35e; --third: #a99cf5; --good: #58cf88; --warn: #eeb658; --bad: #ff8a7d;
    --good-ground: #163325; --warn-ground: #3a2c12; --bad-ground: #43201d;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--text);
  font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums;
}
header, main, footer { max-width: 1280px; margin: 0 auto; padding: 0 24px; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 14px; padding-top: 22px; padding-bottom: 16px; }
h1 { font-size: 21px; letter-spacing: -.01em; margin: 0; }
h1 b { color: var(--accent); }
h2 { font-size: 14px; margin: 0; }
header .facts { margin-left: auto; color: var(--quiet); display: flex; flex-wrap: wrap; gap: 2px 18px; }
header .facts b, .quiet b { color: var(--text); font-weight: 600; }
main { display: grid; grid-template-columns: repeat(12, minmax(0, 1fr)); gap: 16px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; grid-column: span 12; min-width: 0; }
section > .head { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 12px; padding: 13px 18px; border-bottom: 1px solid var(--line); }
section > .head .quiet { margin-left: auto; }
.narrow { grid-column: span 5; } .wide { grid-column: span 7; }
.tile { grid-column: span 3; padding: 14px 18px 12px; position: relative; overflow: hidden; }
.tile .name { color: var(--quiet); font-size: 12.5px; }
.tile .value { font-size: 25px; font-weight: 600; letter-spacing: -.02em; line-height: 1.3; }
.tile .value small { font-size: 13px; font-weight: 400; color: var(--quiet); letter-spacing: 0; margin-left: 4px; }
.tile svg { display: block; width: 100%; height: 34px; margin-top: 6px; }
.spark { fill: none; stroke: var(--accent); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
.spark-area { fill: var(--accent); opacity: .12; }
@media (max-width: 900px) { .narrow, .wide { grid-column: span 12; } .tile { grid-column: span 6; } header .facts { margin-left: 0; } }
.pill { display: inline-block; border-radius: 99px; padding: 1px 10px; font-size: 12.5px; font-weight: 600; background: var(--faint); color: var(--quiet); white-space: nowrap; }
.pill.good { background: var(--good-ground); color: var(--good); }
.pill.warn { background: var(--warn-ground); color: var(--warn); }
.pill.bad { background: var(--bad-ground); color: var(--bad); }
.banner { border-color: transparent; background: var(--bad-ground); color: var(--bad); padding: 12px 18px; white-space: pre-wrap; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; }
th, td { text-align: left; padding: 7px 10px; border-bottom: 1px solid var(--line); vertical-align: top; }
th:first-child, td:first-child { padding-left: 18px; }
th:last-child, td:last-child { padding-right: 18px; }
tr:last-child td { border-bottom: 0; }
th { color: var(--quiet); font-weight: 500; font-size: 12.5px; white-space: nowrap; }
td.number, th.number { text-align: right; white-space: nowrap; }
td.address, .short { white-space: nowrap; }
td small { display: block; color: var(--quiet); font-size: 12.5px; }
td small.bad, .bad-text { color: var(--bad); }
tbody tr:hover td { background: var(--faint); }
.group td { background: var(--faint); font-weight: 600; padding-top: 5px; padding-bottom: 5px; }
.group td span { font-weight: 400; color: var(--quiet); margin-left: 8px; }
.empty { padding: 22px 18px; color: var(--quiet); }
.quiet { color: var(--quiet); }
select, input { font: inherit; font-size: 13px; color: var(--text); background: var(--ground); border: 1px solid var(--line); border-radius: 7px; padding: 3px 8px; }
select:focus-visible, input:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
.bar { display: inline-block; vertical-align: 1px; margin-left: 8px; }
.bar rect { fill: var(--faint); } .bar rect + rect { fill: var(--accent); }
.chart { padding: 10px 18px 4px; }
.chart svg { display: block; width: 100%; height: auto; }
.chart text { fill: var(--quiet); font-size: 11px; }
.chart .grid { stroke: var(--line); stroke-width: 1; }
.chart path { fill: none; stroke-width: 2; stroke-linejoin: round; }
.connect { stroke: var(--accent); } .firstByte { stroke: var(--second); } .duration { stroke: var(--third); }
td .dot { display: inline-block; margin-right: 7px; }
td .dot line { stroke-width: 3; stroke-linecap: round; }
footer { color: var(--quiet); padding-top: 16px; padding-bottom: 28px; }
footer a { color: inherit; margin-right: 14px; }
`;
