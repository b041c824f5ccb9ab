from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.running import leave
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.reporting import report
from pixelcnn_lit.storage import run_folder


def test_the_report_is_tables_reasons_and_a_page(sweep, capsys):
    with run_folder.held(sweep / "d"):
        report.report(sweep)
    printed = capsys.readouterr().out
    assert "n_res=5 levels=2: no <memory> [left]" in printed
    assert "not in every table" not in printed
    assert "running" in printed
    assert "2 finished, 1 running, 1 failed" in (sweep / "report.html").read_text()


def test_the_page_is_written_though_nobody_reads_the_tables_to_their_end(sweep, monkeypatch):
    def cut_short(*shown):
        raise BrokenPipeError

    monkeypatch.setattr(report, "table", cut_short)
    with pytest.raises(BrokenPipeError):
        report.report(sweep)
    assert "2 finished, 1 interrupted, 1 failed" in (sweep / "report.html").read_text()


def test_a_folder_without_runs_is_told(tmp_path):
    with pytest.raises(UserError, match="no run in it"):
        report.report(tmp_path)
    with pytest.raises(UserError, match="none: no such folder"):
        report.report(tmp_path / "none")
    with pytest.raises(UserError, match="dir=none: no such folder; the folder stands alone: none"):
        report.report(Path("dir=none"))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file: a file, where the folder"):
        report.report(tmp_path / "file")


def test_damaged_metrics_are_one_line_and_the_other_runs_are_reported(tmp_path, capsys):
    for name, more in (("good", {}), ("odd", {"source": [1]})):
        leave(tmp_path / name, "data.levels=2", f"model.hidden={len(name)}", bits=0.25)
        metrics = tmp_path / name / "metrics.json"
        metrics.write_text(json.dumps(json.loads(metrics.read_text()) | more))
    leave(tmp_path / "bad", "data.levels=2", "model.hidden=8")
    (tmp_path / "bad" / "metrics.json").write_text('{"test/bits_per_dim": "low"}')
    report.report(tmp_path)
    printed = capsys.readouterr().out
    assert printed.count("0.2500") == 4
    (told,) = [line for line in printed.splitlines() if "metrics.json" in line]
    assert f"{tmp_path / 'bad' / 'metrics.json'}: damaged: test/bits_per_dim" in told
    assert told.partition(": ")[2] in (tmp_path / "report.html").read_text().replace("&#34;", '"')
