from __future__ import annotations

import torch

from helpers.builders import tiny_density
from pixelcnn_lit.nn.cursor import Cursor, Window


def test_a_window_holds_the_last_rows_of_a_stream():
    stream = torch.randn(2, 3, 5, 4)
    filled, scrolled = (Window(torch.zeros(2), 2, 4, 3) for _ in range(2))
    filled.fill(stream)
    for row in range(5):
        scrolled.scroll()
        scrolled.row.copy_(stream[:, :, row].transpose(1, 2))
    for window in (filled, scrolled):
        torch.testing.assert_close(window.row, stream[:, :, 4].transpose(1, 2))
        torch.testing.assert_close(window.past, stream[:, :, 2:4].permute(0, 2, 3, 1))


@torch.inference_mode()
def test_coarser_resolutions_move_at_every_other_row_and_column():
    density = tiny_density(network="pixelcnn_pp", resolutions=3)
    cursor = Cursor(density.network, torch.zeros(1), (9, 9), 1)
    assert cursor.period == 4
    assert cursor.coarser is not None
    assert cursor.coarser.coarser is not None
    places = []
    for _ in range(6):
        cursor.start_row()
        cursor.move_to(7)
        places.append((cursor.row, cursor.coarser.row, cursor.coarser.coarser.row))
    assert places == [(0, 0, 0), (1, 0, 0), (2, 1, 0), (3, 1, 0), (4, 2, 1), (5, 2, 1)]
    assert (cursor.coarser.column, cursor.coarser.coarser.column) == (3, 1)
    assert (cursor.coarser.width, cursor.coarser.coarser.width) == (5, 3)
