from __future__ import annotations

import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from pixelcnn_lit.config import compose
from pixelcnn_lit.data import folder
from pixelcnn_lit.errors import UserError

RNG = np.random.default_rng(0)


def write(root, *names, size=(8, 8)):
    """Image files of noise, each another; returns their pixels."""
    pixels = {}
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels[name] = RNG.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels[name]).save(path)
    return pixels


def load(root, *overrides):
    config = [f"data.path={root}", f"data.dir={root.parent / 'cache'}", "data.size=8", *overrides]
    return folder.load(compose(["data=images", *config]).data)


def held(splits):
    """Every image, as bytes, with its part and label."""
    parts = {part: getattr(splits, part) for part in ("train", "val", "test")}
    return {
        image.transpose(1, 2, 0).tobytes(): (part, int(label))
        for part, split in parts.items()
        for image, label in zip(split.images, split.labels, strict=True)
    }


def test_a_folder_of_images_is_split_in_three(tmp_path):
    root = tmp_path / "photos"
    pixels = write(root, *(f"{i:02d}.PNG" for i in range(20)), ".hidden.png", ".thumbnails/a.png")
    (root / "notes.txt").write_text("no image")
    splits = load(root)
    assert (len(splits.train), len(splits.val), len(splits.test), splits.n_classes) == (16, 2, 2, 0)
    assert held(splits).keys() == {image.tobytes() for name, image in pixels.items() if not name.startswith(".")}
    assert splits.source == str(root)


def test_subfolders_are_classes_in_the_order_of_their_names(tmp_path):
    root = tmp_path / "photos"
    pixels = write(root, *(f"{kind}/deeper/{i}.png" for kind in ("dog", "cat", "train") for i in range(5)))
    splits = load(root)
    assert splits.n_classes == 3
    found = held(splits)
    for name, image in pixels.items():
        assert found[image.tobytes()][1] == ["cat", "dog", "train"].index(name.split("/")[0])


def test_folders_with_numbers_for_names_are_classes_in_the_order_of_the_numbers(tmp_path):
    root = tmp_path / "photos"
    pixels = write(root, *(f"{kind}/{i}.png" for kind in range(11) for i in range(2)))
    splits = load(root)
    assert splits.names == tuple(str(kind) for kind in range(11))
    found = held(splits)
    for name, image in pixels.items():
        assert found[image.tobytes()][1] == int(name.split("/")[0])


@pytest.mark.parametrize("val", [True, False])
def test_subfolders_train_val_and_test_are_the_parts(tmp_path, val):
    root = tmp_path / "photos"
    parts = ["train"] * 24 + ["test"] * 4 + ["val"] * 6 * val
    pixels = write(root, *(f"{part}/{'ab'[i % 2]}/{i}.png" for i, part in enumerate(parts)))
    write(root, ".thumbnails/a.png")
    (root / "notes").mkdir()
    (root / "notes" / "notes.txt").write_text("no image")
    splits = load(root)
    assert (len(splits.train), len(splits.val), len(splits.test)) == ((24, 6, 4) if val else (22, 2, 4))
    found = held(splits)
    for name, image in pixels.items():
        part, label = found[image.tobytes()]
        assert label == "ab".index(name.split("/")[1])
        assert name.startswith(part) or (part == "val" and not val and name.startswith("train"))


def test_images_beside_the_class_folders_leave_all_without_a_class(tmp_path):
    write(tmp_path / "photos", "a/1.png", "b/2.png", *(f"{i}.png" for i in range(10)))
    assert load(tmp_path / "photos").n_classes == 0


def test_the_middle_is_cut_out_and_resized(tmp_path):
    root = tmp_path / "photos"
    write(root, *(f"{i}.png" for i in range(9)))
    wide = np.zeros((20, 60, 3), dtype=np.uint8)
    wide[:, 20:30], wide[:, 30:40] = (255, 0, 0), (0, 0, 255)
    Image.fromarray(wide).save(root / "wide.jpg", quality=100, subsampling=0)
    halves = folder.decode(root / "wide.jpg", (3, 4, 4)).pixels
    assert halves.shape == (3, 4, 4)
    red, _, blue = halves.astype(int)
    assert (red[:, :2] > blue[:, :2] + 150).all()
    assert (blue[:, 2:] > red[:, 2:] + 150).all()
    assert load(root, "data.size=4").train.images.shape[1:] == (3, 4, 4)


def test_grey_and_colour_follow_data_channels(tmp_path):
    root = tmp_path / "photos"
    pixels = write(root, *(f"{i}.png" for i in range(10)))
    config = compose(["data=images", f"data.path={root}", "data.size=16", "data.channels=1"])
    assert config.data.image_shape == (1, 16, 16)
    grey = load(root, "data.channels=1")
    expected = {np.asarray(Image.fromarray(image).convert("L")).tobytes() for image in pixels.values()}
    assert held(grey).keys() == expected
    Image.new("L", (8, 8), 100).save(root / "0.png")
    Image.new("LA", (8, 8), (50, 255)).save(root / "1.png")
    Image.new("P", (8, 8), 3).save(root / "2.png")
    assert load(root).train.images.shape[1:] == (3, 8, 8)


def test_the_orientation_of_a_photograph_is_heeded(tmp_path):
    image = Image.new("RGB", (8, 8))
    image.paste((255, 255, 255), (0, 0, 8, 4))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter to the right
    image.save(tmp_path / "turned.jpg", exif=exif, quality=100)
    pixels = folder.decode(tmp_path / "turned.jpg", (1, 8, 8)).pixels[0]
    assert (pixels[:, 5:] > 200).all()
    assert (pixels[:, :3] < 50).all()


def test_what_is_invisible_is_white_and_told(tmp_path, capsys):
    """An editor leaves any colours under transparent pixels; nobody has seen them."""
    root = tmp_path / "photos"
    write(root, *(f"{i}.png" for i in range(10)))
    for name, mode in (("rgba", "RGBA"), ("la", "LA")):
        pixels = RNG.integers(0, 256, (8, 8, len(mode)), dtype=np.uint8)
        pixels[..., -1] = 255
        pixels[:4, :, -1] = 0
        Image.fromarray(pixels, mode).save(root / f"{name}.png")
        decoded, transparent, _ = folder.decode(root / f"{name}.png", (3, 8, 8))
        assert transparent
        assert (decoded[:, :4] == 255).all()
        assert (decoded[:, 4:] == pixels[4:, :, : len(mode) - 1].transpose(2, 0, 1)).all()
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.save(root / "palette.png", transparency=1)
    assert (folder.decode(root / "palette.png", (3, 8, 8)).pixels == 255).all()
    load(root)
    assert "3 of 13 images have transparent pixels, which become white" in capsys.readouterr().out


def test_the_colours_of_print_keep_their_brightness(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "print.jpg", quality=100)
    red = folder.decode(tmp_path / "print.jpg", (3, 8, 8)).pixels.mean((1, 2))
    assert red[0] > 200
    assert red[1:].max() < 50


def test_images_are_decoded_once(tmp_path, monkeypatch):
    root = tmp_path / "photos"
    write(root, *(f"{i}.png" for i in range(10)))
    first = load(root)
    (cache,) = (tmp_path / "cache").iterdir()
    decoded = []
    decode = folder.decode
    monkeypatch.setattr(folder, "decode", lambda path, *rest: decoded.append(path.name) or decode(path, *rest))
    np.testing.assert_array_equal(load(root).train.images, first.train.images)
    assert decoded == []
    cache.write_bytes(cache.read_bytes()[:100])  # damaged
    np.testing.assert_array_equal(load(root).train.images, first.train.images)
    assert len(decoded) == 10
    os.utime(root / "3.png", ns=(1, 1))
    load(root)
    assert len(decoded) == 20
    load(root, "data.channels=1")
    assert len(decoded) == 30
    (root / "3.png").rename(root / "33.png")
    load(root)
    assert len(decoded) == 40
    assert len(list((tmp_path / "cache").iterdir())) == 4


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, content in chunks:
        parts += [struct.pack(">I", len(content)), kind, content, struct.pack(">I", zlib.crc32(kind + content))]
    return b"".join(parts)


def header(width: int, height: int) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)


def png_of_16_bits(pixels, colour: int) -> bytes:
    ihdr = b"IHDR", struct.pack(">IIBBBBB", *pixels.shape[:2], 16, colour, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels.astype(">u2"))
    return png(ihdr, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))


BROKEN = {
    "empty": (b"", "cannot be read as a PNG or JPEG image"),
    "text": (b"text", "cannot be read as a PNG or JPEG image"),
    "header": (png(header(8, 8)), "cannot be read as a PNG or JPEG image"),
    "data": (png(header(8, 8), (b"IDAT", b"nonsense"), (b"IEND", b"")), "cannot be read as a PNG or JPEG image"),
    "large": (png(header(11_000, 11_000), (b"IDAT", b"")), "has more than 89478485 pixels"),
    "bomb": (png(header(100_000, 100_000), (b"IDAT", b"")), "has more than 89478485 pixels"),
    "gif": (b"GIF89a" + bytes(100), "cannot be read as a PNG or JPEG image"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_named_and_leaves_no_cache(tmp_path, kind):
    content, message = BROKEN[kind]
    root = tmp_path / "photos"
    write(root, *(f"{i}.png" for i in range(10)))
    (root / "bad.png").write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserError, match=f"bad.png: {message}"):
            load(root)
    assert not (tmp_path / "cache").exists()


def test_a_truncated_or_deep_image_is_named(tmp_path):
    root = tmp_path / "photos"
    write(root, "good.jpg", *(f"{i}.png" for i in range(10)), size=(64, 64))
    (root / "good.jpg").write_bytes((root / "good.jpg").read_bytes()[:-200])
    with pytest.raises(UserError, match=r"good.jpg: cannot be read"):
        load(root)
    (root / "good.jpg").unlink()
    for colour, channels in {0: 1, 2: 3, 4: 2, 6: 4}.items():  # grey, RGB, and both with alpha
        (root / "deep.png").write_bytes(png_of_16_bits(np.full((8, 8, channels), 200), colour))
        with pytest.raises(UserError, match=r"deep.png: has more than 8 bits a channel, which are not read"):
            load(root)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no .png, .jpg, .jpeg file in it"),
        (["a.png"], "1 images; at least 10 are needed"),
        (["train/a.png", "val/b.png"], "has train but no test beside it"),
        (
            ["train/a.png", "test/b.png", "valid/a.png"],
            "has valid beside train and test, where only the folder val",
        ),
        (["train/a.png", "test/b.png", "val/c.png", "cover.png", "x/y.png"], "has cover.png, x beside train and test"),
        (["train/a.png", "test/b.png", "val.png"], "has val.png beside train and test"),
        (["train/a.png", "test/b.png"], "1 training and 1 test images; at least 12 and 1 are needed"),
    ],
)
def test_what_cannot_be_split_is_an_error(tmp_path, names, message):
    (tmp_path / "photos").mkdir()
    write(tmp_path / "photos", *names)
    with pytest.raises(UserError, match=f"data.path=.*photos: {message}"):
        load(tmp_path / "photos")


def test_a_folder_that_is_not_there_or_too_large_is_named(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"data.path=.*nowhere: no such folder"):
        load(tmp_path / "nowhere")
    write(tmp_path / "photos", *(f"{i}.png" for i in range(10)))
    monkeypatch.setattr(folder, "MAX_BYTES", 1000)
    with pytest.raises(UserError, match="10 images would need 1920 bytes; at most 1000 are held"):
        load(tmp_path / "photos")
