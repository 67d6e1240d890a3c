"""The style of an exported page: light and dark, narrow and wide."""

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --bg: #fff; --fg: #1c1e21; --soft: #5d646e; --line: #dfe2e6; --box: #f5f6f8;
  --user: #eaf1fb; --link: #0b57b0; --add: #116329; --addbg: #e3f6e8; --del: #a40e26; --delbg: #fdeaec; --hunk: #6639ba;
  --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --bg: #15171a; --fg: #e2e5e9; --soft: #9aa2ad; --line: #33383f;
  --box: #1e2126; --user: #1c2a3d; --link: #7db4f5; --add: #7ee19a; --addbg: #12301c; --del: #ff9aa2; --delbg: #3a171c;
  --hunk: #c5a6ff; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 24px 20px 64px; max-width: 900px; background: var(--bg); color: var(--fg);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
  overflow-wrap: anywhere; }
h1 { font-size: 1.5em; line-height: 1.25; margin: 0 0 12px; }
a { color: var(--link); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 0 0 28px; font-size: .9em; }
dt { color: var(--soft); } dd { margin: 0; }
article { margin: 0 0 22px; }
article.user { background: var(--user); border-radius: 10px; padding: 10px 16px; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 12px; font-size: .85em; color: var(--soft); }
header h2 { font-size: 1.05em; margin: 0; color: var(--fg); }
header .tokens { margin-left: auto; font-variant-numeric: tabular-nums; }
.label { border: 1px solid var(--line); border-radius: 999px; padding: 0 9px; }
.text > :first-child { margin-top: 6px; } .text > :last-child { margin-bottom: 6px; }
.text h1, .text h2, .text h3, .text h4 { font-size: 1.1em; margin: 1em 0 .4em; }
.text blockquote { margin: 8px 0; padding-left: 12px; border-left: 3px solid var(--line); color: var(--soft); }
.text table { display: block; overflow-x: auto; border-collapse: collapse; }
.text th, .text td { border: 1px solid var(--line); padding: 3px 9px; text-align: left; }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; font-size: .86em; }
pre code { font-size: inherit; }
.text :not(pre) > code { background: var(--box); border-radius: 4px; padding: 1px 4px; }
pre { margin: 8px 0; padding: 10px 12px; background: var(--box); border-radius: 8px; line-height: 1.45; overflow: auto;
  max-height: 32em; white-space: pre-wrap; }
details { margin: 8px 0; border: 1px solid var(--line); border-radius: 8px; }
details > :not(summary) { margin-left: 12px; margin-right: 12px; }
summary { padding: 6px 12px; cursor: pointer; font-size: .92em; }
summary .what { color: var(--soft); font-family: ui-monospace, Menlo, Consolas, "Liberation Mono", monospace;
  font-size: .92em; }
.failed { color: var(--bad); font-weight: 600; }
.caption { color: var(--soft); font-size: .8em; margin-top: 8px; margin-bottom: -4px; }
.note { color: var(--soft); font-size: .9em; border-top: 1px solid var(--line); padding-top: 8px; }
.thinking { color: var(--soft); font-size: .93em; white-space: pre-wrap; padding-bottom: 8px; }
pre.diff { padding: 8px 0; } pre.diff span { display: block; padding: 0 12px; min-height: 1.45em; }
.add { color: var(--add); background: var(--addbg); } .del { color: var(--del); background: var(--delbg); }
.hunk { color: var(--hunk); }
img { display: block; max-width: 100%; height: auto; border-radius: 8px; margin: 8px 0; }
@media (max-width: 560px) { body { padding: 16px 12px 48px; font-size: 15px; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 6px; }
  header .tokens { margin-left: 0; } article.user { padding: 8px 12px; } }
@media print { pre { max-height: none; } }
"""
