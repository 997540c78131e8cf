"""The style sheet of the report: light and dark by the reader's setting, one column on a phone."""

STYLE = """
:root { color-scheme: light dark;
  --back: #ffffff; --panel: #f6f7f9; --text: #1c2026; --faint: #5d6673; --rule: #d9dde3; --heat: 22 133 92;
  --reset: #cc2936; --phase: #2563eb; --good: #16855c; --bad: #b3261e; --warn: #8f5b00;
  --c0: #2563eb; --c1: #d97706; --c2: #16855c; --c3: #b83280; --c4: #8c564b; --c5: #0aa5c2;
  --c6: #7a6a1c; --c7: #6b7280; }
@media (prefers-color-scheme: dark) { :root {
  --back: #14171c; --panel: #1d2127; --text: #e6e9ee; --faint: #9aa4b2; --rule: #343b45; --heat: 52 178 123;
  --reset: #ff6b6b; --phase: #74a5ff; --good: #4cc38a; --bad: #ff8a80; --warn: #f0b456;
  --c0: #74a5ff; --c1: #f0a04b; --c2: #4cc38a; --c3: #f080bd; --c4: #d39b8a; --c5: #62d7ee;
  --c6: #c9b458; --c7: #a3abb8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 1200px; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.5rem; overflow-wrap: anywhere; }
h2 { margin: 2rem 0 .5rem; font-size: 1.15rem; border-bottom: 1px solid var(--rule); padding-bottom: .2rem; }
h3 { margin: 0; font-size: .95rem; }
p { margin: .2rem 0 .6rem; color: var(--faint); font-size: .87rem; }
.cards { display: grid; gap: .6rem; margin-top: 1rem; grid-template-columns: repeat(auto-fit, minmax(122px, 1fr)); }
.cards div { background: var(--panel); border-radius: 8px; padding: .5rem .8rem; }
.cards b { display: block; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
.cards span { color: var(--faint); font-size: .8rem; }
.charts { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fit, minmax(min(340px, 100%), 1fr)); }
figure { margin: 0; padding: .7rem; background: var(--panel); border-radius: 8px; }
figcaption p { margin: 0 0 .3rem; font-size: .8rem; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--faint); font-size: 12px; }
svg .value { text-anchor: end; dominant-baseline: middle; }
svg .step { text-anchor: middle; }
.grid { stroke: var(--rule); stroke-width: 1; }
.line { fill: none; stroke: var(--c); stroke-width: 1.8; stroke-linejoin: round; }
.dot { fill: var(--c); }
.area { fill: var(--c); fill-opacity: .75; }
.mark { stroke-width: 1.5; stroke-opacity: .85; }
.mark.reset { stroke: var(--reset); stroke-dasharray: 5 3; }
.mark.phase { stroke: var(--phase); }
.legend { display: flex; flex-wrap: wrap; gap: .1rem .9rem; margin: .3rem 0 0; padding: 0; list-style: none;
  font-size: .8rem; }
.swatch { display: inline-block; width: .7em; height: .7em; margin-right: .35em; border-radius: 2px;
  background: var(--c); }
.c0 { --c: var(--c0); } .c1 { --c: var(--c1); } .c2 { --c: var(--c2); } .c3 { --c: var(--c3); }
.c4 { --c: var(--c4); } .c5 { --c: var(--c5); } .c6 { --c: var(--c6); } .c7 { --c: var(--c7); }
.key { border-left: 2px solid var(--phase); padding-left: .35em; margin-right: .8em; }
.key.reset { border-left: 2px dashed var(--reset); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .55rem; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { color: var(--faint); font-weight: 600; }
th:first-child, th.text, td.text { text-align: left; }
th.over { text-align: center; }
tbody th { position: sticky; left: 0; background: var(--back); }
td.long { white-space: normal; overflow-wrap: anywhere; min-width: 14rem; }
td.heat { background: rgb(var(--heat) / calc(var(--v) * .55)); }
td.heat small { display: block; color: var(--faint); font-size: .72rem; }
.badge { padding: .05rem .45rem; border: 1px solid currentColor; border-radius: 99px; font-size: .78rem; }
.correct, .expanded, .gained { color: var(--good); }
.wrong, .lost { color: var(--bad); }
.unparsable, .timeout, .error, .partial { color: var(--warn); }
article { margin: .6rem 0; padding: .6rem .8rem; background: var(--panel); border-radius: 8px; }
article header { display: flex; flex-wrap: wrap; gap: .3rem .8rem; color: var(--faint); font-size: .85rem; }
pre { margin: .4rem 0 0; padding: .5rem; max-height: 22rem; overflow: auto; background: var(--back);
  border: 1px solid var(--rule); border-radius: 6px; font: 12.5px/1.45 ui-monospace, monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; }
details summary { cursor: pointer; }
"""
