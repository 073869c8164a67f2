"""How an advice's page looks, on a screen and on paper, and what a browser may do with it."""

import base64
import hashlib
from typing import Final

STYLE: Final = """
:root { --ink: #1d1c1a; --soft: #6d6a64; --line: #dedad2; --paper: #fffefb; --wash: #f5f2ec;
        --own: #0f5c63; --usual: #b3843b; --best: #a9a49a; --warn: #9c3d22 }
* { box-sizing: border-box }
html { -webkit-text-size-adjust: 100% }
body { margin: 0; background: var(--paper); color: var(--ink);
       font: 15px/1.5 "Helvetica Neue", "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif }
main { max-width: 62rem; margin: 0 auto; padding: 2.6rem 1.6rem 3rem }
h1, h2, h3, .lead { font-family: Charter, "Iowan Old Style", Georgia, "Liberation Serif", "Times New Roman", serif }
header { border-bottom: 1.5px solid var(--ink); padding-bottom: .9rem; margin-bottom: 1.6rem }
h1 { font-size: 2.1rem; font-weight: 600; line-height: 1.15; margin: .1rem 0 .25rem; overflow-wrap: anywhere }
.over { margin: 0; color: var(--own); font-size: .74rem; font-weight: 600; letter-spacing: .11em;
        text-transform: uppercase }
.under { margin: 0; color: var(--soft) }
h2 { font-size: 1.3rem; font-weight: 600; margin: 0 0 .8rem }
section { margin: 0 0 2.3rem }
figure { margin: 0 }
img { display: block; max-width: 100% }
figcaption { color: var(--soft); font-size: .84rem; line-height: 1.4; margin-top: .45rem }
figcaption em { color: var(--ink); overflow-wrap: anywhere }
.opening { display: grid; grid-template-columns: minmax(0, 1.18fr) minmax(0, 1fr); gap: 2rem; align-items: start }
.hero img { width: 100%; max-height: 34rem; object-fit: contain; object-position: left top }
.lead { font-size: 1.14rem; line-height: 1.45; margin: 0 0 .9rem }
.short ul { list-style: none; margin: 0; padding: 0 }
.short li { border-top: 1px solid var(--line); padding: .55rem 0; font-size: .92rem }
.short li strong { color: var(--own) }
.scores { display: grid; grid-template-columns: minmax(0, 25rem) minmax(0, 1fr); gap: 1.8rem; align-items: start }
.radar { display: block; width: 100%; height: auto; overflow: visible }
.ring { fill: none; stroke: var(--line) } .spoke { stroke: var(--line) }
.radar .best { fill: none; stroke: var(--best); stroke-width: 1.2; stroke-dasharray: 1.5 3.5; stroke-linecap: round }
.radar .usual { fill: none; stroke: var(--usual); stroke-width: 1.6; stroke-dasharray: 6 4 }
.radar .own { fill: #0f5c6326; stroke: var(--own); stroke-width: 2.2; stroke-linejoin: round }
.dot { fill: var(--own) }
.label { fill: var(--soft); font-size: 12.5px } .number { fill: var(--own); font-weight: 700 }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; justify-content: center; margin-top: .9rem }
.k::before { content: ""; display: inline-block; width: 1.4rem; margin-right: .4rem; vertical-align: .28em;
             border-top: 2.2px solid var(--own) }
.k.usual::before { border-top: 1.8px dashed var(--usual) } .k.best::before { border-top: 2px dotted var(--best) }
.row { display: grid; grid-template-columns: 1fr 2.4rem; column-gap: .8rem; padding: .4rem 0 .5rem;
       border-top: 1px solid var(--line); break-inside: avoid }
.row:first-child { border-top: 0; padding-top: 0 }
.name { font-weight: 600 } .value { text-align: right; font-weight: 700; font-variant-numeric: tabular-nums;
       color: var(--own) }
.mark { font-size: .72rem; font-weight: 600; margin-left: .4rem; padding: .05rem .4rem; border-radius: .6rem;
        background: var(--wash); color: var(--soft) }
.mark.strength { color: var(--own); background: #e2efee } .mark.priority { color: var(--warn); background: #f8e9e2 }
.bar { grid-column: 1 / -1; display: block; width: 100%; height: 13px; overflow: visible; margin: .15rem 0 .2rem }
.bar .whole { fill: var(--wash) } .bar .own { fill: var(--own) }
.bar .usual { stroke: var(--usual); stroke-width: 2.5 }
.bar .best { fill: var(--paper); stroke: var(--soft); stroke-width: 1.5 }
.comment { grid-column: 1 / -1; color: var(--soft); font-size: .82rem; line-height: 1.4; margin: 0 }
.said { grid-column: 1 / -1; font-size: .84rem; line-height: 1.4; margin: .25rem 0 0; overflow-wrap: anywhere }
.said b { color: var(--usual); font-variant-numeric: tabular-nums } .said.apart { color: var(--warn) }
.critic > div { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1.25fr); gap: 2rem;
                 align-items: start }
.critic > div > :only-child { grid-column: 1 / -1 }
.quoted { border-left: 3px solid var(--usual); padding-left: 1rem } .quoted p { margin: 0 0 .6rem }
.critic ul { list-style: none; margin: 0; padding: 0; color: var(--warn); font-size: .88rem }
.critic li { padding: 0 0 .5rem; break-inside: avoid }
.cases { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1.4rem }
.case { break-inside: avoid; background: var(--wash); padding: .9rem 1rem 1rem; border-radius: 4px }
.case:only-child { grid-column: 1 / -1 }
h3 { font-size: 1.02rem; font-weight: 600; margin: 0 0 .6rem }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .7rem; margin-bottom: .5rem }
.pair img { width: 100%; height: 9.5rem; object-fit: contain; object-position: left bottom }
.case:only-child .pair img { height: 16rem }
.score { font-weight: 700; color: var(--own); font-variant-numeric: tabular-nums; margin-right: .15rem }
.works { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 1.4rem 1.2rem }
.works figure { break-inside: avoid }
.works img, .nothing { width: 100%; height: 12.5rem; object-fit: contain; background: var(--wash) }
.why { display: block }
.gone { color: var(--warn) }
.scores h3 { margin: 1.7rem 0 .6rem }
.overlays { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .9rem }
.overlays figure { break-inside: avoid }
.overlays img { width: 100%; height: 8.2rem; object-fit: contain; background: var(--wash) }
.overlays .hues img { background: #fafafa }
.overlays figcaption { font-size: .76rem }
footer { border-top: 1px solid var(--line); color: var(--soft); font-size: .78rem; padding-top: .9rem;
         overflow-wrap: anywhere }
footer h2 { font-size: .95rem; margin: 0 0 .3rem; color: var(--ink) }
footer ul { margin: 0 0 .7rem; padding-left: 1.1rem }
footer p { margin: .3rem 0 }
@media (max-width: 46rem) {
  .opening, .scores, .cases, .critic > div { grid-template-columns: minmax(0, 1fr) }
  .works { grid-template-columns: repeat(2, minmax(0, 1fr)) }
}
@page { size: A4; margin: 13mm 14mm }
@media print {
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact }
  body { font-size: 10.5pt; background: #fff }
  main { max-width: none; padding: 0 }
  section { margin-bottom: 7mm }
  h2 { break-after: avoid }
  .opening, .scores, .critic > div { gap: 6mm } .critic, .short li { font-size: 9.6pt } .critic ul { font-size: 8.8pt }
  .scores h3 { margin-top: 5mm } .scores { grid-template-columns: 84mm minmax(0, 1fr) }
  .hero img { max-height: 95mm } .key { gap: .5mm 4mm }
  .works { grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 4mm } .works img { height: 34mm }
  .works figcaption { font-size: 8.4pt } .overlays img { height: 25mm } .pair img { height: 34mm }
  .case:only-child .pair img { height: 46mm } .comment, .said { font-size: 8.6pt } .row { padding: 1.2mm 0 1.4mm }
}
"""

POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'; "
    "img-src data:; base-uri 'none'; form-action 'none'"
)
"""The page's Content-Security-Policy: this one style, the pictures within the page, and nothing else, whatever a title
or a biography may say."""
