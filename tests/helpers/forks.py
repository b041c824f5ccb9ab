"""Commands in processes that need not import torch again: a clean process that imports it once, and a fork for each.

Started as ``python forks.py``; reads one line of JSON for each command from its standard input,
``{"argv": [...], "cwd": ..., "path": [...], "env": {...}, "out": ..., "err": ...}``, and answers with the number of the
process. ``argv`` is what follows ``python``: a script, or ``-m`` and a module. A line with such a number is answered
with the exit status, once there is one. No module from outside the package is imported before a fork.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
import traceback

import pixelcnn_lit.analysis.compression
import pixelcnn_lit.analysis.detection
import pixelcnn_lit.analysis.evaluation
import pixelcnn_lit.analysis.explanation
import pixelcnn_lit.analysis.samples
import pixelcnn_lit.cli
import pixelcnn_lit.training.command
import pixelcnn_lit.training.stages  # noqa: F401

SECONDS = 240  # that a command may take


def run(argv: list[str]) -> None:
    """As ``python ARGV`` does."""
    if argv[0] == "-m":
        sys.argv = argv[1:]
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = argv
        sys.path.insert(0, os.path.dirname(os.path.abspath(argv[0])))  # noqa: PTH100, PTH120
        runpy.run_path(argv[0], run_name="__main__")


def child(wish: dict) -> int:
    """Run one command in this process; its exit status."""
    for name, number in (("out", 1), ("err", 2)):
        target = os.open(wish[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(target, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(wish["cwd"])
    os.environ.clear()
    os.environ.update(wish["env"])
    signal.alarm(SECONDS)
    sys.stdout.reconfigure(line_buffering=True)  # who waits for a line sees it
    sys.path[:] = [*wish["path"], *sys.path[1:]]
    try:
        run(wish["argv"])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    for line in sys.stdin:
        wish = json.loads(line)
        if isinstance(wish, int):
            _, status = os.waitpid(wish, 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            code = child(wish)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
