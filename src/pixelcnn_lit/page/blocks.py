"""The page: a model to choose, and the tabs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from pixelcnn_lit.config import DemoConfig
from pixelcnn_lit.page import compare_tab, draw_tab, sample_tab, score_tab
from pixelcnn_lit.page.figures import said
from pixelcnn_lit.page.gate import LARGEST, Gate, is_local
from pixelcnn_lit.page.models import Model
from pixelcnn_lit.page.scores import References

WAITING = 64
"""So many visitors may wait for an answer; the next one is told that the queue is full."""
OLD = 600
"""After so many seconds an upload is removed."""
THEME = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"])
CSS = """
.images { display: flex; flex-wrap: wrap; gap: 12px; }
.images figure { margin: 0; }
.images img { image-rendering: pixelated; }
.images figcaption { font-size: 12px; text-align: center; }
img.figure { background: white; max-width: 560px; width: 100%; }
input[role="combobox"] { text-overflow: ellipsis; padding-right: 32px !important; }
.prose h3, .prose p { overflow-wrap: anywhere; }
p.wrong { border-left: 4px solid #dc2626; padding-left: 8px; }
button[aria-label="Color"] { background: #3b4252; }
a.download { margin-right: 16px; text-decoration: underline; }
"""


def launch(models: Mapping[str, Model], config: DemoConfig, folder: str) -> gr.Blocks:
    """Serve the page in threads of its own; uploads go to ``folder``."""
    page = build(models, References(config.data, config.n))
    page.queue(max_size=WAITING, api_open=False)
    page.launch(
        server_name=config.host,
        server_port=config.port,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        ssr_mode=False,
        show_error=True,
        max_file_size=LARGEST,
        enable_monitoring=False,
        run_history=False,
        app_kwargs={"middleware": [Middleware(Gate, folder=folder, local=is_local(config.host))]},
        footer_links=[],
        theme=THEME,
        css=CSS,
    )
    return page


def build(models: Mapping[str, Model], references: References) -> gr.Blocks:
    """The page, which is served by nobody yet."""
    with gr.Blocks(title="pixelcnn-lit", analytics_enabled=False, delete_cache=(OLD, OLD)) as page:
        first = next(iter(models))
        with gr.Column() as above:
            chosen = gr.Dropdown(list(models), value=first, label="Model", filterable=False)
            sentence = gr.HTML(said(models[first].sentence))
        quietly: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        chosen.change(lambda name: said(models[name].sentence), chosen, sentence, **quietly)
        tabs = {name: gr.Tab(name) for name in ("Draw", "Sample", "Score", "Compare")}
        with tabs["Draw"]:
            draw_tab.fill(models, chosen)
        with tabs["Sample"]:
            sample_tab.fill(models, chosen)
        with tabs["Score"]:
            score_tab.fill(models, references, chosen)
        with tabs["Compare"]:
            compare_tab.fill(models, references)
        for name, tab in tabs.items():
            # Two models are compared, and the tab has a chooser for each.
            tab.select(partial(gr.Column, visible=name != "Compare"), None, above, **quietly)
    return page
