"""A page of HTML that needs nothing else: style and pictures are in it, scripts are not."""

import html
from collections.abc import Iterable, Sequence

_STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #f4f4f2; color: #1c1c1c;
       font: 17px/1.55 Georgia, "Times New Roman", serif; }
main { max-width: 54rem; margin: 0 auto; padding: 2.5rem 2rem 4rem; background: #fff; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .6rem; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 .6rem; border-bottom: 1px solid #ccc; }
.lead { font-size: 1.2rem; }
table { border-collapse: collapse; margin: 1rem 0; font: 15px/1.4 system-ui, sans-serif; }
caption { text-align: left; font-weight: 600; padding-bottom: .3rem; }
th, td { padding: .3rem .9rem .3rem 0; border-bottom: 1px solid #e2e2e2; text-align: right;
         vertical-align: top; }
th:first-child, td:first-child, .prose td { text-align: left; }
thead th { border-bottom: 2px solid #888; }
figure { margin: 1.2rem 0; }
figure svg { width: 100%; height: auto; }
figcaption { font-size: .92rem; color: #444; }
.beware { background: #fdf3e1; border-left: 4px solid #D55E00; padding: .5rem 1rem; }
.beware ul { margin: 0; padding-left: 1.2rem; }
footer { margin-top: 3rem; font-size: .85rem; color: #555; }
@media print { body { background: #fff; } figure, table { break-inside: avoid; } }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """Return the document; its parts are elements of HTML."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{html.escape(title)}</h1>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def heading(text: str) -> str:
    """Return the heading of a section."""
    return f"<h2>{html.escape(text)}</h2>"


def prose(*sentences: str, kind: str = "") -> str:
    """Return a paragraph; `kind` is a class of the style sheet."""
    attribute = f' class="{kind}"' if kind else ""
    return f"<p{attribute}>{html.escape(' '.join(sentences))}</p>"


def points(sentences: Iterable[str]) -> str:
    """Return a list, an item for each sentence."""
    items = "".join(f"<li>{html.escape(each)}</li>" for each in sentences)
    return f"<ul>{items}</ul>"


def warning(sentences: Iterable[str]) -> str:
    """Return a list that stands out."""
    return f'<div class="beware">{points(sentences)}</div>'


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """Return a table; the first column names the row, `kind` may be `prose`."""
    head = "".join(f'<th scope="col">{html.escape(each)}</th>' for each in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>\n"
        for row in rows
    )
    start = f"<thead><tr>{head}</tr></thead>\n" if any(columns) else ""
    return f'<table class="{kind}">\n{start}<tbody>\n{body}</tbody>\n</table>'


def picture(svg: str, caption: str) -> str:
    """Return a figure of an <svg> element, described by its caption."""
    described = svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(caption)}"', 1)
    return f"<figure>\n{described}\n<figcaption>{html.escape(caption)}</figcaption>\n</figure>"
