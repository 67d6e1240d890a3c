"""The admin listener's `/docs`: its OpenAPI schema as one page that needs no script and no other host."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from fastapi.openapi.models import OpenAPI, Operation, PathItem, Reference, Response, Schema

CONTENT_SECURITY_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

_STYLE: Final = """
:root { color-scheme: light dark; --text: #1c2330; --dim: #566073; --line: #d5dae2; --card: #f5f7fa; --page: #fff;
  --link: #0b57b0; --good: #1b6e3c; --bad: #a12622 }
@media (prefers-color-scheme: dark) { :root { --text: #e3e7ee; --dim: #a3adbd; --line: #394150; --card: #1d222b;
  --page: #14181f; --link: #84b8ff; --good: #7fd19b; --bad: #ff9a94 } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 60rem; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: 0 }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem }
h3 { font: 600 1rem/1.5 ui-monospace, monospace; margin: 0 }
p { margin: .25rem 0 }
a { color: var(--link) }
code { font: .9em ui-monospace, monospace }
.dim, dd { color: var(--dim) }
article { border: 1px solid var(--line); border-radius: .5rem; background: var(--card); padding: .9rem 1rem;
  margin: 0 0 .9rem }
article > header { display: flex; flex-wrap: wrap; gap: 0 .75rem; align-items: baseline }
ul { list-style: none; margin: .6rem 0 0; padding: 0 }
li { display: grid; grid-template-columns: 3rem 1fr; align-items: baseline; margin: .15rem 0 }
.good { color: var(--good) }
.bad { color: var(--bad) }
dl { margin: .6rem 0 0; display: grid; grid-template-columns: minmax(9rem, 14rem) 1fr; gap: .35rem 1rem }
dt, dd { margin: 0; overflow-wrap: anywhere }
@media (max-width: 36rem) { dl { grid-template-columns: 1fr; gap: 0 } dd { margin: 0 0 .6rem } }
"""


def admin_page(schema: Mapping[str, Any]) -> str:
    """The page for SCHEMA, an OpenAPI 3.1 document of operations that take nothing but a token."""
    api = OpenAPI.model_validate(schema)
    paths = "".join(_path(path, item) for path, item in (api.paths or {}).items() if isinstance(item, PathItem))
    models = (api.components.schemas or {}) if api.components is not None else {}
    shapes = "".join(_shape(name, model) for name, model in models.items() if isinstance(model, Schema))
    title, version = escape(api.info.title), escape(api.info.version)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>"
        f'<h1>{title}</h1><p class="dim">{version}</p><p>{escape(api.info.summary or "")}</p>'
        f"<main><h2>Paths</h2>{paths}<h2>Answers</h2>{shapes}</main></body></html>\n"
    )


def _path(path: str, item: PathItem) -> str:
    operation = item.get
    if operation is None:
        return ""
    lock = ' <span class="dim">own machine, or token</span>' if operation.security else ""
    return (
        f'<article><header><h3><a href="{escape(path)}">{escape(path)}</a></h3>'
        f"<span>{escape(operation.summary or '')}</span>{lock}</header>"
        f"<p>{_text(operation.description)}</p><ul>{''.join(_answers(operation))}</ul></article>"
    )


def _answers(operation: Operation) -> Iterator[str]:
    for status, answer in sorted((operation.responses or {}).items()):
        if not isinstance(answer, Response):
            continue
        colour = "good" if status.startswith("2") else "bad"
        said = "" if status.startswith("2") else f"{escape(answer.description)} "
        kinds = [_content(kind, media.schema_) for kind, media in (answer.content or {}).items()]
        yield f'<li><code class="{colour}">{escape(status)}</code><span>{said}{", ".join(kinds)}</span></li>'


def _content(kind: str, schema: Schema | Reference | None) -> str:
    """What an answer holds: the name of its shape, or its media type where that is all."""
    if isinstance(schema, Schema) and isinstance(schema.items, Schema) and schema.items.ref is not None:
        return f"list of {_link(schema.items.ref)}"
    ref = schema.ref if schema is not None else None
    return _link(ref) if ref is not None else f"<code>{escape(kind)}</code>"


def _link(ref: str) -> str:
    name = escape(ref.rpartition("/")[2])
    return f'<a href="#{name}">{name}</a>'


def _shape(name: str, model: Schema) -> str:
    fields = "".join(
        f"<dt><code>{escape(field)}</code> {_type(schema)}</dt><dd>{_text(schema.description)}</dd>"
        for field, schema in (model.properties or {}).items()
        if isinstance(schema, Schema)
    )
    values = f"<p>{_values(model)}</p>" if model.enum else ""
    return (
        f'<article id="{escape(name)}"><header><h3>{escape(name)}</h3></header>'
        f"<p>{_text(model.description)}</p>{values}<dl>{fields}</dl></article>"
    )


def _type(schema: Schema) -> str:
    if schema.ref is not None:
        return _link(schema.ref)
    if schema.const is not None:
        return f"<code>{escape(str(schema.const))}</code>"
    if schema.enum:
        return _values(schema)
    if schema.anyOf:
        return " or ".join(_type(part) for part in schema.anyOf if isinstance(part, Schema))
    if isinstance(schema.items, Schema):
        return f"list of {_type(schema.items)}"
    return f'<span class="dim">{escape(str(schema.type or "any"))}</span>'


def _values(schema: Schema) -> str:
    return ", ".join(f"<code>{escape(str(value))}</code>" for value in schema.enum or [])


def _text(prose: str | None) -> str:
    """PROSE in HTML, what it has between backticks as code."""
    parts = escape(prose or "").split("`")
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))
