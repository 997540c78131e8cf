"""The style sheet of the report: light and dark by the reader's setting, one column on a phone, and for paper.

Lines have the colours of Okabe and Ito, which colour-blind readers can tell apart, and dashes besides.
"""

STYLE = """
:root { color-scheme: light dark;
  --back: #ffffff; --panel: #f5f6f8; --text: #1c2026; --faint: #59616e; --rule: #dadee4; --heat: 6 95 70;
  --reset: #c0241f; --phase: #1d5fc4; --good: #0f7350; --bad: #b3261e; --warn: #8a5600;
  --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #b8578f; --c4: #d39200; --c5: #3f9fd8;
  --c6: #7a6a1c; --c7: #7d8590; }
@media (prefers-color-scheme: dark) { :root {
  --back: #14171c; --panel: #1d2127; --text: #e6e9ee; --faint: #a0a9b6; --rule: #353c46; --heat: 84 200 152;
  --reset: #ff7a70; --phase: #7fb0ff; --good: #5ccf9b; --bad: #ff8f86; --warn: #f0b456;
  --c0: #56a8e0; --c1: #f08442; --c2: #3cc79a; --c3: #e193c2; --c4: #eec04d; --c5: #9bd6f7;
  --c6: #c9b458; --c7: #a3abb8; } }
@media print { :root { color-scheme: light;
  --back: #ffffff; --panel: #ffffff; --text: #000000; --faint: #444444; --rule: #cccccc; --heat: 6 95 70; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  figure, article, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  nav { display: none !important; } pre { max-height: none !important; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 1240px; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.5rem; overflow-wrap: anywhere; }
h2 { margin: 2.2rem 0 .5rem; font-size: 1.2rem; border-bottom: 1px solid var(--rule); padding-bottom: .2rem; }
h3 { margin: 0; font-size: .95rem; overflow-wrap: anywhere; }
h3.group { margin: 1.2rem 0 .5rem; font-size: 1rem; }
p { margin: .2rem 0 .6rem; color: var(--faint); font-size: .87rem; max-width: 62rem; }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin-top: .8rem; font-size: .9rem; }
a { color: var(--phase); }
.cards { display: grid; gap: .6rem; margin-top: 1rem; grid-template-columns: repeat(auto-fit, minmax(118px, 1fr)); }
.cards div { background: var(--panel); border-radius: 8px; padding: .5rem .7rem; }
.cards b { display: block; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
.cards span { display: block; color: var(--faint); font-size: .78rem; line-height: 1.3; }
.charts { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fill, minmax(min(345px, 100%), 1fr)); }
.strips { columns: 2 440px; column-gap: .8rem; }
.families { columns: 3 330px; column-gap: .8rem; }
.strips figure, .families figure { margin-bottom: .8rem; break-inside: avoid; }
figure { margin: 0; padding: .7rem; background: var(--panel); border-radius: 8px; min-width: 0; }
figcaption p { margin: 0 0 .3rem; font-size: .8rem; line-height: 1.4; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--faint); font-size: 11.5px; }
svg .value { text-anchor: end; dominant-baseline: middle; }
svg .step { text-anchor: middle; }
svg .phase { fill: var(--phase); font-size: 10.5px; }
.grid { stroke: var(--rule); stroke-width: 1; }
.line { fill: none; stroke: var(--c); stroke-width: 1.8; stroke-linejoin: round; stroke-dasharray: var(--d); }
.band { fill: var(--c); fill-opacity: .18; }
.dot { fill: var(--c); }
.area { fill: var(--c); fill-opacity: .85; stroke: var(--panel); stroke-width: .5; }
.limit { stroke: var(--text); stroke-width: 1.3; stroke-dasharray: 2 3; }
.mark { fill: none; stroke-width: 1.3; }
figure > svg .mark { stroke-opacity: .65; }
.mark.reset { stroke: var(--reset); stroke-dasharray: 5 3; }
.mark.phase { stroke: var(--phase); }
.mark.resume { stroke: var(--faint); stroke-width: 2; }
.flag { fill: var(--reset); }
.legend { display: flex; flex-wrap: wrap; gap: .1rem .9rem; margin: .3rem 0 0; padding: 0; list-style: none;
  font-size: .8rem; }
.legend li { overflow-wrap: anywhere; }
svg.key { display: inline-block; width: 22px; height: 8px; margin-right: .35em; vertical-align: middle; }
svg.sign { display: inline-block; width: 16px; height: 12px; margin-right: .3em; vertical-align: -1px; }
.c0 { --c: var(--c0); } .c1 { --c: var(--c1); } .c2 { --c: var(--c2); } .c3 { --c: var(--c3); }
.c4 { --c: var(--c4); --d: 6 2; } .c5 { --c: var(--c5); --d: 3 2; } .c6 { --c: var(--c6); --d: 8 2 2 2; }
.c7 { --c: var(--c7); --d: 1.5 2; } .cmean { --c: var(--text); stroke-width: 2.8; }
.compare .c1 { --d: 7 2; } .compare .c2 { --d: 2.5 2; } .compare .c3 { --d: 8 2 2 2; }
.compare .c4 { --d: 12 3; } .compare .c5 { --d: 5 2 1 2 1 2; } .compare .c6 { --d: 4 4; } .compare .c7 { --d: 1.5 2; }
.compare .point { fill: var(--c); stroke: var(--panel); stroke-width: .8; }
.compare .key .line { stroke-width: 2.2; }
.keys { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; align-items: center; }
i.sign { display: inline-block; width: 0; height: 1em; margin-right: .45em; vertical-align: -.15em;
  border-left: 2px solid var(--phase); }
i.sign.reset { border-left: 2px dashed var(--reset); }
i.sign.resume { height: .5em; border-left: 2px solid var(--faint); }
i.sign.bound { width: 1.3em; height: .35em; border-left: 0; border-top: 2px dotted var(--text); vertical-align: 0; }
.shade { display: inline-block; width: 1em; height: .8em; vertical-align: -.05em;
  background: rgb(var(--heat) / var(--a)); }
.rows svg { background: var(--back); }
.strip .cell { fill: rgb(var(--heat)); fill-opacity: var(--a); shape-rendering: crispEdges; }
.h0 { --a: .08; } .h1 { --a: .17; } .h2 { --a: .25; } .h3 { --a: .33; } .h4 { --a: .42; } .h5 { --a: .51; }
.h6 { --a: .6; } .h7 { --a: .7; } .h8 { --a: .8; } .h9 { --a: .9; } .h10 { --a: 1; }
.hover { fill: transparent; }
.strip .mark, .strip .halo { vector-effect: non-scaling-stroke; }
.crowd { stroke-opacity: .3 !important; stroke-dasharray: 3 5 !important; }
.halo { fill: none; stroke: var(--panel); stroke-width: 3; stroke-opacity: .7; }
.strip figcaption { margin-bottom: .2rem; }
.rows { display: flex; gap: 6px; }
.rows svg { flex: 1; width: auto; min-width: 0; }
.rows ol { list-style: none; margin: 0; padding: 0; font-size: 10px; line-height: 12px; color: var(--faint);
  text-align: right; font-variant-numeric: tabular-nums; }
.rows ol:first-child { width: 1.6em; }
.rows ol:last-child { width: 2.4em; }
.axis { position: relative; height: 15px; margin: 0 calc(24px + 6px) 0 calc(16px + 6px); font-size: 10.5px;
  color: var(--faint); }
.axis span { position: absolute; white-space: nowrap; }
.steps span { transform: translateX(-50%); }
.phases span { overflow: hidden; text-overflow: ellipsis; padding-left: 3px; border-left: 2px solid var(--phase);
  color: var(--phase); line-height: 13px; }
.base { fill: none; stroke: var(--c0); stroke-width: 1.8; }
.trained { fill: var(--c1); }
.single { stroke: var(--c1); stroke-width: 2; }
.way { stroke: var(--faint); stroke-width: 2; stroke-opacity: .5; }
.way.expanded, .way.gained { stroke: var(--good); } .way.lost, .way.diminished { stroke: var(--bad); }
svg .verdict { dominant-baseline: middle; font-size: 11px; }
svg .verdict.expanded { fill: var(--good); font-weight: 600; } svg .verdict.gained { fill: var(--good); }
svg .verdict.lost, svg .verdict.diminished { fill: var(--bad); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .55rem; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { color: var(--faint); font-weight: 600; }
th:first-child, th.text, td.text { text-align: left; }
th.over { text-align: center; }
tbody th { position: sticky; left: 0; background: var(--back); }
td.long { white-space: normal; overflow-wrap: anywhere; min-width: 14rem; }
.facts td.long { min-width: 6rem; }
td.heat { background: rgb(var(--heat) / calc(var(--v) * .5)); }
td.heat small { display: block; color: var(--faint); font-size: .72rem; }
td.faint { color: var(--faint); font-size: .8rem; min-width: 18rem; }
.dense table { font-size: .72rem; } .dense th, .dense td { padding: 0 .22rem; line-height: 1.5; }
.dense tbody th { background: var(--panel); }
.badge { padding: .05rem .45rem; border: 1px solid currentColor; border-radius: 99px; font-size: .78rem; }
.correct, .expanded, .gained { color: var(--good); }
.wrong, .lost, .reset, .alarm { color: var(--bad); }
.unparsable, .timeout, .error, .partial { color: var(--warn); }
.badge.phase { color: var(--phase); }
details { margin: .4rem 0; }
details summary { cursor: pointer; font-size: .9rem; }
.step summary { padding: .25rem 0; }
[hidden] { display: none !important; }
#pager { display: flex; flex-wrap: wrap; gap: .4rem .8rem; align-items: center; margin: .6rem 0; font-size: .87rem; }
#pager output { min-width: 6.5rem; text-align: center; font-variant-numeric: tabular-nums; }
#pager label { color: var(--faint); max-width: 100%; }
#pager select { max-width: 11rem; }
#pager button, #pager select { padding: .2rem .6rem; font: inherit; color: var(--text); background: var(--panel);
  border: 1px solid var(--rule); border-radius: 6px; }
#pager button:disabled { color: var(--faint); opacity: .6; }
article { margin: .5rem 0; padding: .5rem .7rem; background: var(--panel); border-radius: 8px; }
article header { display: flex; flex-wrap: wrap; gap: .2rem .8rem; color: var(--faint); font-size: .85rem;
  overflow-wrap: anywhere; }
.said { display: grid; grid-template-columns: 4.6rem minmax(0, 1fr); gap: .3rem .4rem; margin-top: .4rem; }
.said > span { color: var(--faint); font-size: .8rem; padding-top: .25rem; }
pre { margin: 0; padding: .3rem .5rem; max-height: 22rem; overflow: auto; background: var(--back);
  border: 1px solid var(--rule); border-radius: 6px; font: 12.5px/1.45 ui-monospace, monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; }
svg.sign.broad { width: 26px; }
polyline.limit { fill: none; }
.first { max-width: 640px; }
@media (min-width: 640px) { .first figure > svg text { font-size: 8.5px; } .first .line { stroke-width: 1.4; }
  .first .line.thin { stroke-width: .7; } }
td.verdict { white-space: normal; min-width: 12rem; max-width: 17rem; line-height: 1.3; }
td.verdict small { display: block; color: var(--faint); font-size: .74rem; margin-top: .15rem; }
.line.thin { stroke-width: .9; stroke-opacity: .9; }
.line.dashed { stroke-dasharray: 5 3; }
.crossing { fill: none; stroke: var(--text); stroke-width: 1.2; stroke-dasharray: 1 3; stroke-linecap: round; }
svg text.crossing { fill: var(--text); stroke: none; text-anchor: middle; } svg text.late { text-anchor: end; }
.whisker { fill: none; stroke: var(--c); stroke-width: 1; stroke-opacity: .6; }
.inside { fill: var(--phase); fill-opacity: .12; }
.outline { fill: none; stroke: var(--c0); stroke-width: 2; stroke-linejoin: miter; }
.filled { fill: var(--c1); fill-opacity: .45; }
.zero { stroke: var(--faint); stroke-width: 1; }
.mark-area { fill: var(--c); fill-opacity: .35; stroke: var(--c); }
.mark-line { fill: none; stroke: var(--c); stroke-width: 1.8; }
.diminished, .diminish { color: var(--bad); } .unclear { color: var(--warn); } .sustained { color: var(--good); }
.strong { font-weight: 700; } b.opened { color: var(--good); font-size: .78rem; }
.headline { color: var(--text); font-size: 1.02rem; margin-top: .5rem; }
.wide-cards { grid-template-columns: repeat(auto-fit, minmax(148px, 1fr)); }
.cards small { display: block; color: var(--faint); font-size: .72rem; line-height: 1.3; margin-top: .15rem; }
.filtered > input { position: absolute; opacity: 0; pointer-events: none; }
.choices { display: flex; flex-wrap: wrap; gap: .35rem; margin: .4rem 0 .6rem; font-size: .85rem; }
.choices label { padding: .15rem .7rem; border: 1px solid var(--rule); border-radius: 99px; cursor: pointer; }
.filtered td.heat { background: rgb(var(--heat) / calc(var(--v) * .3)); }
.filtered td.heat small { color: var(--text); opacity: .8; }
.filtered th, .filtered td { padding: .22rem .4rem; }
.filtered .wide { max-height: min(80vh, 900px); overflow: auto; }
.filtered thead { position: sticky; top: 0; z-index: 1; background: var(--back); }
@media print { .choices { display: none; } .filtered td.heat { background: rgb(var(--heat) / calc(var(--v) * .3)); }
.filtered td.heat small { color: var(--text); opacity: .8; }
.filtered th, .filtered td { padding: .22rem .4rem; }
.filtered .wide { max-height: none; overflow: visible; }
  .filtered thead { position: static; } details::details-content { content-visibility: visible; block-size: auto; } }
"""

FILTER = "".join(
    f"#show-{verdict}:checked ~ .wide tbody tr:not(.is-{verdict}) {{ display: none; }}\n"
    f"#show-{verdict}:checked ~ .choices [for=show-{verdict}] {{ border-color: currentColor; font-weight: 700; }}\n"
    f"#show-{verdict}:focus-visible ~ .choices [for=show-{verdict}] {{ outline: 2px solid var(--phase); }}\n"
    for verdict in ("expanded", "gained", "diminished", "lost", "sharpened", "unchanged", "unsolved", "unclear")
) + (
    "#show-all:checked ~ .choices [for=show-all] { border-color: currentColor; font-weight: 700; }\n"
    "#show-all:focus-visible ~ .choices [for=show-all] { outline: 2px solid var(--phase); }\n"
)
"""Shows the rows of one verdict: what a radio button does without a script."""
