from __future__ import annotations

import pytest

from pixelcnn_lit.errors import UserError
from pixelcnn_lit.reporting import report
from pixelcnn_lit.storage import run_folder


def test_the_report_is_tables_reasons_and_a_page(sweep, capsys):
    with run_folder.held(sweep / "d"):
        report.report(sweep)
    printed = capsys.readouterr().out
    assert "n_res=5 levels=2: no <memory> [left]" in printed
    assert "no room in 80 columns for" not in printed
    assert "running" in printed
    assert "2 finished, 1 running, 1 failed" in (sweep / "report.html").read_text()


def test_a_folder_without_runs_is_told(tmp_path):
    with pytest.raises(UserError, match="no run in it"):
        report.report(tmp_path)
    with pytest.raises(UserError, match="none: no such folder"):
        report.report(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file: a file, where the folder"):
        report.report(tmp_path / "file")
